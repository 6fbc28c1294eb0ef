"""Strict decoding: accepted events, and refused ones with the field that is named."""

import json
import re
from base64 import b64encode
from datetime import UTC, datetime
from typing import Any

import pytest
from cloudevents.core.bindings.kafka import to_binary, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from scoring.state.events import AttributesEvent, SurveyEvent, TicketEvent, UsageEvent
from service.messaging.cloudevents import decode_binary, decode_structured
from service.messaging.envelope import InvalidEventError
from service.runtime.settings import Signal

NOON = "2026-03-05T12:00:00Z"
TAKEN_AT = 1_772_712_000_000_000  # NOON, in microseconds
DATA: dict[Signal, dict[str, Any]] = {
    "usage": {"feature": "login", "user_id": "ann", "quantity": 3},
    "ticket": {"ticket_id": "t", "status": "open", "priority": "high", "created_at": "2026-03-04T23:30:00-02:00"},
    "survey": {"survey": "csat", "response_id": "r", "score": 4.5, "comment": "nice"},
    "account": {"name": "Acme", "arr": 1200.505, "seats": 3, "renews_on": "2026-12-31", "owner": None},
}
TYPES = {
    "usage": "usage.recorded",
    "ticket": "ticket.changed",
    "survey": "survey.answered",
    "account": "account.changed",
}


def event(signal: Signal, **changes: Any) -> dict[str, Any]:
    whole = {"specversion": "1.0", "id": "e1", "source": "/app", "type": TYPES[signal], "subject": "acme", "time": NOON}
    return {**whole, "data": DATA[signal], **changes}


def decoded(signal: Signal, **changes: Any) -> Any:
    return decode_structured(signal, json.dumps(event(signal, **changes)).encode(), TAKEN_AT).event


def test_usage() -> None:
    found = decoded("usage")
    assert isinstance(found, UsageEvent)
    assert (found.account_id, found.at, found.day, found.broker_day) == ("acme", TAKEN_AT, 20517, 20517)
    assert (found.feature, found.quantity) == ("login", 3)
    assert found.user is not None
    assert decoded("usage", data={"feature": "x"}).user is None


def test_a_users_hash_is_the_same_everywhere_and_for_ever() -> None:
    """The hash is stored: if it changed, every user would count twice."""
    assert decoded("usage").user == 5_200_682_613_324_210_888


def test_ticket() -> None:
    found = decoded("ticket")
    assert isinstance(found, TicketEvent)
    assert datetime.fromtimestamp(found.created_at / 1e6, UTC) == datetime(2026, 3, 5, 1, 30, tzinfo=UTC)
    assert (found.solved_at, found.reopens, found.satisfaction) == (0, 0, "")


def test_survey_scores_are_millionths_on_the_surveys_own_scale() -> None:
    found = decoded("survey")
    assert isinstance(found, SurveyEvent)
    assert (found.score, found.scale_max) == (4_500_000, 5_000_000)
    ces = decoded("survey", data={"survey": "ces", "response_id": "r", "score": 9, "scale_max": 10})
    assert (ces.score, ces.scale_min, ces.scale_max) == (9_000_000, 1_000_000, 10_000_000)
    thumb = decoded("survey", data={"survey": "csat", "response_id": "r", "score": 0, "scale_min": 0, "scale_max": 1})
    assert (thumb.score, thumb.scale_min, thumb.scale_max) == (0, 0, 1_000_000)
    nps = decoded("survey", data={"survey": "nps", "response_id": "r", "score": 9.0, "scale_min": 0})
    assert (nps.score, nps.scale_min, nps.scale_max) == (9_000_000, 0, 10_000_000)


def test_a_respondent_is_known_by_name_or_else_by_the_response() -> None:
    def respondent(**data: Any) -> int:
        whole = {"survey": "nps", "score": 1, **data}
        answer: SurveyEvent = decoded("survey", data=whole)
        return answer.respondent

    assert respondent(response_id="1", respondent_id="ann") == respondent(response_id="2", respondent_id="ann")
    assert respondent(response_id="1") != respondent(response_id="2")
    assert respondent(response_id="1", respondent_id="ann") != respondent(response_id="ann")


def test_attributes_hold_what_is_given_and_nothing_else() -> None:
    found = decoded("account")
    assert isinstance(found, AttributesEvent)
    assert found.values == {"name": "Acme", "arr": "1200.50", "seats": 3, "renews_on": "2026-12-31", "owner": None}


def test_identity_is_source_and_id() -> None:
    def identity(**changes: Any) -> int:
        return decode_structured("usage", json.dumps(event("usage", **changes)).encode(), TAKEN_AT).identity

    assert identity() == identity(subject="other", time="2026-03-05T11:00:00Z")
    assert len({identity(), identity(id="e2"), identity(source="/b"), identity(source="/ap", id="pe1")}) == 4


@pytest.mark.parametrize("signal", TYPES)
def test_both_modes_of_the_cloudevents_sdk_decode_alike(signal: Signal) -> None:
    attributes = {**event(signal), "time": datetime(2026, 3, 5, 12, tzinfo=UTC), "backfill": True}
    data = attributes.pop("data")
    theirs = CloudEvent(attributes={**attributes, "datacontenttype": "application/json"}, data=data)
    structured = to_structured(theirs, JSONFormat())
    binary = to_binary(theirs, JSONFormat())
    headers = {name: value.decode() for name, value in binary.headers.items()}
    ours = decode_structured(signal, structured.value, TAKEN_AT)
    assert ours == decode_binary(signal, headers, binary.value, TAKEN_AT)
    assert ours.backfill
    assert ours.event == decoded(signal)


REFUSED = [
    ("usage", {"specversion": "0.3"}, "specversion"),
    ("usage", {"id": ""}, "id"),
    ("usage", {"id": None}, "id"),
    ("usage", {"source": ""}, "source"),
    ("usage", {"type": "usage.invented"}, "type"),
    ("usage", {"type": "ticket.changed"}, "type"),
    ("usage", {"subject": None}, "subject"),
    ("usage", {"subject": ""}, "subject"),
    ("usage", {"subject": "a" * 10_000}, "subject"),
    ("usage", {"subject": "a\x00b"}, "subject"),
    ("usage", {"subject": 7}, "subject"),
    ("usage", {"time": "yesterday"}, "time"),
    ("usage", {"time": "2026-03-05T12:00:00"}, "time"),
    ("usage", {"time": "2026-03-05T12:05:01Z"}, "time"),
    ("usage", {"time": "9999-12-31T23:59:59Z"}, "time"),
    ("usage", {"time": "9999-12-31T23:59:59-05:00"}, "time"),
    ("usage", {"time": "0001-01-01T00:00:00+14:00"}, "time"),
    ("usage", {"datacontenttype": "application/xml"}, "datacontenttype"),
    ("usage", {"data": None}, "data"),
    ("usage", {"data": {}}, "data.feature"),
    ("usage", {"data": {"feature": ""}}, "data.feature"),
    ("usage", {"data": {"feature": "x", "quantity": -1}}, "data.quantity"),
    ("usage", {"data": {"feature": "x", "quantity": 0}}, "data.quantity"),
    ("usage", {"data": {"feature": "x", "quantity": 1.5}}, "data.quantity"),
    ("usage", {"data": {"feature": "x", "quantity": 10**30}}, "data.quantity"),
    ("usage", {"data": {"feature": "x", "quantitiy": 2}}, "data.quantitiy"),
    ("ticket", {"data": {**DATA["ticket"], "status": "lost"}}, "data.status"),
    ("ticket", {"data": {**DATA["ticket"], "priority": "P1"}}, "data.priority"),
    ("ticket", {"data": {**DATA["ticket"], "created_at": "2026-03-05"}}, "data.created_at"),
    ("ticket", {"data": {**DATA["ticket"], "created_at": "0001-01-01T00:00:00+00:01"}}, "data.created_at"),
    ("ticket", {"data": {**DATA["ticket"], "solved_at": "9999-12-31T23:59:59-14:00"}}, "data.solved_at"),
    ("ticket", {"data": {**DATA["ticket"], "reopens": -1}}, "data.reopens"),
    ("ticket", {"data": {**DATA["ticket"], "satisfaction": "great"}}, "data.satisfaction"),
    ("survey", {"data": {"survey": "poll", "response_id": "r", "score": 1}}, "data.survey"),
    ("survey", {"data": {"survey": "nps", "response_id": "r", "score": 11}}, "data.score"),
    ("survey", {"data": {"survey": "csat", "response_id": "r", "score": 0}}, "data.score"),
    ("survey", {"data": {"survey": "csat", "response_id": "r", "score": float("nan")}}, "score"),
    ("survey", {"data": {"survey": "csat", "response_id": "r", "score": 1e305}}, "data.score"),
    ("survey", {"data": {"survey": "nps", "response_id": "r", "score": 5, "scale_max": 5}}, "data.scale_max"),
    ("survey", {"data": {"survey": "ces", "response_id": "r", "score": 1, "scale_max": 1}}, "data.scale_max"),
    ("survey", {"data": {"survey": "ces", "response_id": "r", "score": 1, "scale_max": 1.0000001}}, "data.scale_max"),
    ("survey", {"data": {"survey": "csat", "response_id": "r", "score": 5, "scale_min": 5}}, "data.scale_min"),
    ("survey", {"data": {"survey": "csat", "response_id": "r", "score": -1, "scale_min": 0}}, "data.score"),
    ("survey", {"data": {"survey": "csat", "response_id": "r", "score": 1, "scale_min": -1001}}, "data.scale_min"),
    ("survey", {"data": {"survey": "nps", "response_id": "r", "score": 5, "scale_min": 1}}, "data.scale_min"),
    ("survey", {"data": {"survey": "nps", "response_id": "r", "score": 8.5}}, "data.score"),
    ("survey", {"data": {"survey": "nps", "response_id": "r", "score": 9.9999999}}, "data.score"),
    ("survey", {"data": {"survey": "nps", "response_id": "r", "score": 1e-9}}, "data.score"),
    ("survey", {"data": {"survey": "nps", "response_id": "r", "score": -1}}, "data.score"),
    ("account", {"data": {"seats": -1}}, "data.seats"),
    ("account", {"data": {"arr": -0.01}}, "data.arr"),
    ("account", {"data": {"arr": "NaN"}}, "data.arr"),
    ("account", {"data": {"renews_on": "31.12.2026"}}, "data.renews_on"),
    ("account", {"data": {"name": "a\x00b"}}, "data.name"),
    ("account", {"data": {"parent_id": "a\x85b"}}, "data.parent_id"),
    ("account", {"data": {"plan": "gold"}}, "data.plan"),
]


@pytest.mark.parametrize(
    ("signal", "changes", "field"), REFUSED, ids=[f"{r[0]}-{r[2]}-{i}" for i, r in enumerate(REFUSED)]
)
def test_what_is_refused_names_its_field(signal: Signal, changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidEventError) as refused:
        decoded(signal, **changes)
    assert refused.value.field == field


@pytest.mark.parametrize("missing", ["specversion", "id", "source", "type", "subject", "time", "data"])
def test_a_missing_attribute_is_named(missing: str) -> None:
    whole = event("usage")
    del whole[missing]
    with pytest.raises(InvalidEventError) as refused:
        decode_structured("usage", json.dumps(whole).encode(), TAKEN_AT)
    assert refused.value.field == missing


@pytest.mark.parametrize(
    "value", [b"", b"nope", b"[]", b"null", b"7", b'"x"', b"\xff\xfe", b'{"id":"\\ud800"}', b"{" * 5000]
)
def test_what_is_no_event_at_all_is_refused(value: bytes) -> None:
    with pytest.raises(InvalidEventError):
        decode_structured("usage", value, TAKEN_AT)


def test_up_to_five_minutes_ahead_is_taken() -> None:
    assert decoded("usage", time="2026-03-05T12:05:00Z").at == TAKEN_AT + 300_000_000


def test_unknown_attributes_of_the_envelope_are_extensions() -> None:
    assert decoded("usage", traceparent="00-1-1-00", partitionkey="acme") == decoded("usage")


@pytest.mark.parametrize(
    "name",
    ["株式会社\u3000日本", "Acme\u00a0Inc", "\u0645\u200c\u0645", "a\u00adb", "\u200f\u05e9", "👩\u200d💻", "a\u2028b"],
)
def test_names_and_account_ids_hold_what_people_write(name: str) -> None:
    found = decoded("account", subject=name, data={"name": name, "owner": name})
    assert (found.account_id, found.values) == (name, {"name": name, "owner": name})


def test_a_refused_character_is_named_with_its_position() -> None:
    with pytest.raises(InvalidEventError, match=r"^data.owner: holds U\+0007, a control character, at position 3$"):
        decoded("account", data={"owner": "an\x07n"})
    with pytest.raises(InvalidEventError, match=r"^subject: holds U\+0000, a control character, at position 1$"):
        decoded("usage", subject="\x00acme")


@pytest.mark.parametrize("half", ["\ud800", "\udc00\ud800"])
def test_half_a_surrogate_pair_is_named_and_not_called_truncated(half: str) -> None:
    named = rf"^data.name: holds U\+{ord(half[0]):04X}, a lone surrogate, at position 2$"
    with pytest.raises(InvalidEventError, match=named):
        decoded("account", data={"name": f"a{half}"})
    with pytest.raises(InvalidEventError, match=r"^extension: holds U\+D"):
        decoded("usage", extension=half)
    assert decoded("account", data={"name": "a\U0001f600"}).values == {"name": "a\U0001f600"}


@pytest.mark.parametrize("written", ["application/json", "Application/JSON", "application/x+Json; charset=UTF-8"])
def test_media_types_have_no_case(written: str) -> None:
    assert decoded("usage", datacontenttype=written) == decoded("usage")


def test_no_amount_is_minus_nothing() -> None:
    assert decoded("account", data={"arr": "-0"}).values == {"arr": "0.00"}
    assert decoded("account", data={"arr": "-0.00"}).values == {"arr": "0.00"}


def base64_of(data: object) -> str:
    return b64encode(json.dumps(data).encode()).decode()


@pytest.mark.parametrize("signal", TYPES)
def test_data_as_base64_is_taken_as_it_is(signal: Signal) -> None:
    whole = event(signal, data_base64=base64_of(DATA[signal]))
    del whole["data"]
    found = decode_structured(signal, json.dumps(whole).encode(), TAKEN_AT)
    assert found == decode_structured(signal, json.dumps(event(signal)).encode(), TAKEN_AT)


@pytest.mark.parametrize(
    ("encoded", "field", "message"),
    [
        ("nonsense!", "data_base64", "is not base64"),
        ("e30", "data_base64", "is not base64"),
        ("ü", "data_base64", "is not base64"),
        (b64encode(b"\x89PNG").decode(), "data_base64", "must decode to JSON"),
        (b64encode(b"[" * 100_000).decode(), "data_base64", "must decode to JSON"),
        ("", "data_base64", "must decode to JSON"),
        (7, "data_base64", "Expected `str"),
        (None, "data", "missing required field"),
        (base64_of({"feature": ""}), "data.feature", "Expected `str` of length >= 1"),
        (base64_of([]), "data", "Expected `object`"),
    ],
)
def test_data_as_base64_that_is_no_data_is_refused_by_its_name(encoded: object, field: str, message: str) -> None:
    whole = event("usage", data_base64=encoded)
    del whole["data"]
    with pytest.raises(InvalidEventError, match=re.escape(message)) as refused:
        decode_structured("usage", json.dumps(whole).encode(), TAKEN_AT)
    assert refused.value.field == field


def test_data_comes_once() -> None:
    assert decoded("usage", data_base64=None) == decoded("usage")
    with pytest.raises(InvalidEventError, match="data_base64: goes without data"):
        decoded("usage", data_base64=base64_of(DATA["usage"]))

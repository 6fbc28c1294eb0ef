"""The schemas of events refuse nothing that is taken: whatever they refuse, the decoder refuses too."""

import copy
import json
from typing import Any

import jsonschema
from hypothesis import event as noted
from hypothesis import given, settings
from hypothesis import strategies as st

from service.messaging import event_schemas
from service.messaging.cloudevents import decode_binary, decode_structured
from service.messaging.envelope import InvalidEventError
from service.runtime.settings import Signal
from tests.support.sizes import sized

TAKEN_AT = 1_772_712_000_000_000
SCHEMAS = event_schemas.components("#/schemas/{name}")

signals = st.sampled_from(event_schemas.SIGNALS)
texts = st.sampled_from(
    ["", " ", "a", "x" * 201, "x" * 257, "a\x00", "a\n", "\u00a0", "\ue000", "ü", "json", "1.0", "e30="]
)
amounts = st.sampled_from(["12", "-0", " 1_0 ", "1e3", "+.5", ".", "1e", "NaN", "1e99", "٣", "0x1", "-5", "1.5.5"])
moments = st.sampled_from(
    ["2026-01-31T09:00:00Z", "2026-01-31T09:00:00", "2026-02-30T00:00:00Z", "2026-01-31", "today"]
)
numbers = st.one_of(
    st.integers(-2, 2_000_000_001), st.floats(allow_nan=False, allow_infinity=False), st.sampled_from([0, 1, 10**14])
)
words = st.sampled_from(["open", "solved", "high", "urgent", "nps", "csat", "good", "usage.recorded", "ticket.changed"])
values: st.SearchStrategy[Any] = st.one_of(
    st.none(), st.booleans(), numbers, texts, amounts, moments, words, st.just([]), st.just({}), st.just(["a"])
)
FIELDS = [
    *["specversion", "id", "source", "type", "subject", "time", "data", "data_base64", "datacontenttype", "backfill"],
    "extension",
    *["feature", "user_id", "quantity", "ticket_id", "status", "priority", "created_at", "solved_at", "reopens"],
    *[
        "satisfaction",
        "survey",
        "response_id",
        "score",
        "respondent_id",
        "scale_min",
        "scale_max",
        "comment",
        "name",
        "segment",
    ],
    *["stage", "owner", "seats", "arr", "started_on", "renews_on", "churned_on", "parent_id", "unknown"],
]
changes = st.lists(st.tuples(st.sampled_from(FIELDS), st.booleans(), st.booleans(), values), max_size=3)


def validator(name: str) -> Any:
    schema = {"$ref": f"#/schemas/{name}", "schemas": SCHEMAS}
    return jsonschema.Draft7Validator(schema, format_checker=jsonschema.FormatChecker())


WHOLE = {signal: validator(event_schemas.event_name(signal)) for signal in event_schemas.SIGNALS}
DATA = {signal: validator(event_schemas.data_name(signal)) for signal in event_schemas.SIGNALS}


def is_taken(signal: Signal, event: dict[str, Any]) -> bool:
    try:
        decode_structured(signal, json.dumps(event).encode(), TAKEN_AT)
    except InvalidEventError:
        return False
    return True


def changed(event: dict[str, Any], edits: list[tuple[str, bool, bool, Any]]) -> dict[str, Any]:
    """An event with some fields set or taken away, in the envelope or in its data."""
    event = copy.deepcopy(event)
    for name, is_removed, is_everywhere, value in edits:
        in_envelope = name in FIELDS[:11]
        place = event if in_envelope else event.get("data")
        if not isinstance(place, dict) or (not is_everywhere and not in_envelope and name not in place):
            continue
        if is_removed:
            place.pop(name, None)
        else:
            place[name] = value
    return event


@settings(max_examples=sized(400, 1_500))
@given(signals, changes)
def test_what_the_schema_refuses_the_decoder_refuses(signal: Signal, edits: list[tuple[str, bool, bool, Any]]) -> None:
    event = changed(event_schemas.example(signal), edits)
    problems = [error.message for error in WHOLE[signal].iter_errors(event)]
    taken = is_taken(signal, event)
    noted(f"taken: {taken}, allowed: {not problems}")
    assert not (taken and problems), problems


KEEPS: dict[Signal, list[tuple[str, Any]]] = {
    "usage": [("user_id", None), ("quantity", 1_000_000_000), ("feature", "\x01 anything"), ("user_id", "a\n")],
    "ticket": [
        ("solved_at", "2026-01-31T10:00:00+02:00"),
        ("reopens", 3),
        ("satisfaction", "bad"),
        ("solved_at", None),
    ],
    "survey": [
        ("scale_max", None),
        ("scale_min", None),
        ("scale_min", 0),
        ("comment", "x" * 5000),
        ("score", 1),
        ("respondent_id", None),
    ],
    "account": [("arr", "1200.50"), ("arr", 0.125), ("arr", None), ("parent_id", "a/b"), ("renews_on", None)],
}


def test_what_is_taken_is_allowed_kind_by_kind() -> None:
    for signal, fields in KEEPS.items():
        for name, value in fields:
            event = event_schemas.example(signal)
            event = {**event, "data": {**event["data"], name: value}, "anything": {"of": "others"}}
            assert is_taken(signal, event), (signal, name)
            assert not list(WHOLE[signal].iter_errors(event)), (signal, name)


def test_every_bound_is_in_the_schema() -> None:
    """Events that break one bound are refused by the schema too, as far as JSON Schema can express it."""
    broken: list[tuple[Signal, str, Any]] = [
        ("usage", "quantity", 0),
        ("usage", "feature", ""),
        ("usage", "feature", "x" * 201),
        ("usage", "unknown", 1),
        ("ticket", "status", "lost"),
        ("ticket", "reopens", -1),
        ("survey", "score", -1001),
        ("survey", "score", 1001),
        ("survey", "scale_max", 1001),
        ("survey", "scale_min", -1001),
        ("account", "arr", -1),
        ("account", "arr", 10**14),
        ("account", "arr", "much"),
        ("account", "name", "a\x00b"),
        ("account", "seats", -1),
        ("account", "renews_on", "soon"),
    ]
    for signal, name, value in broken:
        event = event_schemas.example(signal)
        event = {**event, "data": {**event["data"], name: value}}
        assert not is_taken(signal, event), (signal, name, value)
        assert list(WHOLE[signal].iter_errors(event)), (signal, name, value)


def test_binary_mode_carries_the_same_data() -> None:
    for signal in event_schemas.SIGNALS:
        event = event_schemas.example(signal)
        data = event.pop("data")
        assert not list(DATA[signal].iter_errors(data))
        headers = {f"ce_{name}": str(value) for name, value in event.items()}
        decode_binary(signal, headers, json.dumps(data).encode(), TAKEN_AT)

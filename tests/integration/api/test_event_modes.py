"""The modes of CloudEvents over HTTP, as the SDK of CloudEvents sends them, and what an answer tells of old events."""

import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cloudevents.core.bindings.http import to_binary, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from tests.support.api import Answer, Api
from tests.support.cloud_events import cloud_event, usage

pytestmark = pytest.mark.anyio

PATH = "/v1/events"
SURVEY = {"survey": "nps", "response_id": "r", "score": 9}
HEADERS = {
    "ce-specversion": "1.0",
    "ce-id": "1",
    "ce-source": "/s",
    "ce-type": "usage.recorded",
    "ce-subject": "acme",
    "ce-time": "2026-01-31T09:00:00Z",
    "Content-Type": "application/json",
}
DATA = b'{"feature": "login"}'


def theirs(event: dict[str, Any]) -> CloudEvent:
    attributes = {**event, "time": datetime.fromisoformat(event["time"]), "datacontenttype": "application/json"}
    return CloudEvent(attributes=attributes, data=attributes.pop("data"))


async def send(api: Api, raw: bytes = DATA, **headers: str | None) -> Answer:
    changed = {**HEADERS, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return await api.post(PATH, raw=raw, headers={name: value for name, value in changed.items() if value is not None})


@pytest.mark.parametrize("subject", ["acme", "株式会社\u3000日本", 'a "b" 100% \\ c', "a/b"])
async def test_both_modes_of_the_cloudevents_sdk_come_to_the_same(api: Api, subject: str) -> None:
    sent = [usage(subject), cloud_event("survey", subject, SURVEY), usage(subject, backfill=True, comexample="x")]
    for event in sent:
        api.publisher.records.clear()
        for message in (to_binary(theirs(event), JSONFormat()), to_structured(theirs(event), JSONFormat())):
            answer = await api.post(PATH, raw=message.body, headers=dict(message.headers))
            assert (answer.status, answer.json["accepted"]) == (202, 1), answer.body
            assert answer.json["backfill"] == int("backfill" in event)
        binary, structured = (json.loads(value) for _, _, value in api.publisher.records)
        assert binary["subject"] == subject
        assert {**binary, "time": 0} == {**structured, "time": 0}
        assert datetime.fromisoformat(binary["time"]) == datetime.fromisoformat(structured["time"])
        assert [key for _, key, _ in api.publisher.records] == [subject, subject]


async def test_what_is_wrong_in_binary_mode_is_named_as_it_was_sent(api: Api) -> None:
    refused = [
        (await send(api, ce_subject=None), "ce-subject"),
        (await send(api, ce_subject="a%00b"), "ce-subject"),
        (await send(api, ce_subject="%ff"), "ce-subject"),
        (await send(api, ce_time="soon"), "ce-time"),
        (await send(api, ce_type=None), "ce-type"),
        (await send(api, ce_type="usage.invented"), "ce-type"),
        (await send(api, ce_specversion="0.3"), "ce-specversion"),
        (await send(api, b""), "data"),
        (await send(api, b"no JSON"), "data"),
        (await send(api, b"[]"), "data"),
        (await send(api, b'{"feature": ""}'), "data.feature"),
        (await send(api, b'{"feature": "x"}, "id": "2"'), "data"),
    ]
    for answer, field in refused:
        assert (answer.status, answer.fields) == (422, [field])
    assert (await send(api, Content_Type="text/xml")).status == 415
    assert api.publisher.records == []


async def test_any_json_type_is_data_in_binary_mode_and_no_body_without(api: Api) -> None:
    assert (await send(api, Content_Type="application/vnd.acme+json; charset=utf-8")).status == 202
    assert json.loads(api.publisher.records[0][2])["datacontenttype"] == "application/vnd.acme+json"
    assert (await send(api, Content_Type="application/vnd.acme+json", ce_specversion=None)).status == 415
    whole = json.dumps(usage("globex")).encode()
    assert (await send(api, whole, Content_Type="application/cloudevents+json")).status == 202
    assert api.publisher.records[1][1] == "globex"


async def test_data_as_base64_is_taken_in_one_event_and_in_a_batch(api: Api) -> None:
    event = usage("acme")
    encoded = {**event, "data_base64": b64encode(json.dumps(event.pop("data")).encode()).decode()}
    encoded.pop("data", None)
    assert (await api.post(PATH, encoded)).status == 202
    assert (await api.post(f"{PATH}?backfill=true", [encoded, encoded])).json["backfill"] == 2
    refused = await api.post(PATH, [encoded, {**encoded, "data_base64": "////"}])
    assert (refused.status, refused.fields) == (422, ["[1].data_base64"])


async def test_events_that_are_too_old_to_count_are_counted(api: Api) -> None:
    """Late is decided to the day: retention is 92 days, of which today is one."""
    midnight = api.clock.now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    kept = (midnight - timedelta(days=91)).isoformat()
    gone = (midnight - timedelta(days=91, microseconds=1)).isoformat()
    batch = [usage("a", time=kept), usage("a", time=gone), cloud_event("survey", "a", SURVEY, time=gone), usage("a")]
    assert (await api.post(PATH, batch)).json == {"accepted": 4, "late": 2, "backfill": 0}
    assert (await api.post(f"{PATH}?backfill=true", batch)).json == {"accepted": 4, "late": 2, "backfill": 4}
    assert (await api.post(PATH, [usage("a", backfill=True), usage("a")])).json["backfill"] == 1
    assert len(api.publisher.records) == 10

"""POST /v1/events: accepted events are in Kafka, whole and under their account; refused ones leave nothing there."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, timedelta
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from sqlalchemy.ext.asyncio import AsyncEngine

from service.messaging.publisher import Publisher
from service.runtime.settings import Settings
from tests.support.api import Api, make_key, running
from tests.support.cloud_events import cloud_event, usage
from tests.support.service import consuming, eventually, settings_for

pytestmark = pytest.mark.anyio

ONE = {"Content-Type": "application/cloudevents+json"}
BATCH = {"Content-Type": "application/cloudevents-batch+json"}


async def send(api: Api, events: object, headers: dict[str, str] | None = None, query: str = "") -> Any:
    raw = events if isinstance(events, bytes) else json.dumps(events).encode()
    return await api.post(f"/v1/events{query}", raw=raw, headers=headers or {"Content-Type": "application/json"})


TICKET = {"ticket_id": "1", "status": "open", "priority": "high", "created_at": "2030-01-01T00:00:00Z"}
SURVEY = {"survey": "nps", "response_id": "r", "score": 9}


async def test_events_go_to_their_topics_under_their_account(api: Api) -> None:
    batch = [
        usage("acme"),
        cloud_event("ticket", "a/b", TICKET),
        cloud_event("survey", "ü", SURVEY),
        cloud_event("account", "acme", {"arr": 12.5}),
    ]
    for events, headers in ((batch, BATCH), (batch, None), (batch[0], ONE), (batch[0], None)):
        api.publisher.records.clear()
        answer = await send(api, events, headers)
        sent = events if isinstance(events, list) else [events]
        assert (answer.status, answer.json) == (202, {"accepted": len(sent), "late": 0, "backfill": 0})
        assert [(topic, key) for topic, key, _ in api.publisher.records] == [
            (f"{event['type'].partition('.')[0]}-events", event["subject"]) for event in sent
        ]
        assert [json.loads(value) for _, _, value in api.publisher.records] == sent


async def test_an_empty_batch_is_accepted(api: Api) -> None:
    assert (await send(api, [], BATCH)).json == {"accepted": 0, "late": 0, "backfill": 0}


async def test_backfill_marks_every_event(api: Api) -> None:
    for query, expected in (("?backfill=true", [True, True]), ("?backfill=false", [None, False]), ("", [None, False])):
        api.publisher.records.clear()
        assert (await send(api, [usage("a"), usage("b", backfill=False)], BATCH, query)).status == 202
        assert [json.loads(value).get("backfill") for _, _, value in api.publisher.records] == expected, query
    answer = await send(api, usage("a", backfill={}), ONE, "?backfill=true")
    assert (answer.status, answer.fields) == (422, ["backfill"])
    answer = await send(api, usage("a"), ONE, "?backfill=maybe")
    assert (answer.status, answer.fields) == (422, ["backfill"])


BAD: list[tuple[dict[str, Any], str]] = [
    (usage("acme", specversion="0.3"), "specversion"),
    (usage("acme", type="usage.invented"), "type"),
    (usage("acme", type=7), "type"),
    (usage("a\x00b"), "subject"),
    (usage(""), "subject"),
    (usage("a" * 257), "subject"),
    (usage("acme", time="yesterday"), "time"),
    (usage("acme", time="2999-01-01T00:00:00Z"), "time"),
    (cloud_event("usage", "acme", {"feature": "x", "quantity": -1}), "data.quantity"),
    (cloud_event("usage", "acme", {"feature": "x", "colour": 1}), "data.colour"),
    (cloud_event("ticket", "acme", {"ticket_id": "1"}), "data.status"),
    (cloud_event("account", "acme", {"arr": "NaN"}), "data.arr"),
    ({}, "type"),
]


async def test_one_bad_event_refuses_the_batch_and_is_named(api: Api) -> None:
    for event, field in BAD:
        answer = await send(api, event, ONE)
        assert (answer.status, answer.fields) == (422, [field])
        answer = await send(api, [usage("acme"), event, usage("acme")], BATCH)
        assert (answer.status, answer.fields) == (422, [f"[1].{field}"])
    for events, headers, field in (
        ([usage("a"), 7], BATCH, "[1]"),
        ([[]], BATCH, "[0]"),
        (usage("a"), BATCH, "body"),
        ([usage("a")], ONE, "body"),
        ([usage("a")] * 1_001, BATCH, "body"),
        (b"[{},", BATCH, "body"),
        (b"[" * 100_000, BATCH, "body"),
        (b'{"type": "usage.recorded", "id": "\xff"}', ONE, "event"),
    ):
        answer = await send(api, events, headers)
        assert (answer.status, answer.fields) == (422, [field])
    assert api.publisher.records == []


async def test_a_thousand_events_at_once(api: Api) -> None:
    assert (await send(api, [usage("a")] * 1_000, BATCH)).json["accepted"] == 1_000


async def test_an_event_must_not_exceed_what_consumers_take(api: Api) -> None:
    long = cloud_event("survey", "acme", SURVEY | {"comment": "x" * 262_144})
    for events, field in ((long, "body"), ([usage("a"), long], "[1]")):
        answer = await send(api, events)
        assert (answer.status, answer.fields) == (413, [field])
    assert api.publisher.records == []


async def test_without_kafka_a_caller_is_asked_to_come_back(database_url: str, engine: AsyncEngine) -> None:
    settings = settings_for(database_url, "127.0.0.1:1", "")
    async with running(settings, await make_key(engine, "admin"), Publisher(settings)) as api:
        answer = await send(api, usage("acme"))
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
        assert (await api.put("/v1/accounts/acme", {"seats": 1})).status == 503
        assert (await api.get("/v1/accounts")).items == []


@pytest.fixture
async def kafka_api(settings: Settings, engine: AsyncEngine) -> AsyncIterator[Api]:
    """The API over a real Kafka."""
    async with running(settings, await make_key(engine, "admin"), Publisher(settings)) as api:
        yield api


async def test_what_is_accepted_is_in_kafka(kafka_api: Api, settings: Settings) -> None:
    events = [usage(f"account-{number % 7}", f"feature-{number}") for number in range(300)]
    assert (await send(kafka_api, events, BATCH)).status == 202
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka_bootstrap_servers)
    await consumer.start()
    try:
        partitions = [TopicPartition(settings.topic_usage, number) for number in range(3)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning()
        assert sum((await consumer.end_offsets(partitions)).values()) == 300
        found: dict[str, list[str]] = {}
        while sum(map(len, found.values())) < 300:
            for records in (await consumer.getmany(timeout_ms=1000)).values():
                for record in records:
                    found.setdefault(record.key.decode(), []).append(json.loads(record.value)["data"]["feature"])
    finally:
        await consumer.stop()
    # Under one key in the order in which they were sent.
    assert found == {f"account-{first}": [f"feature-{n}" for n in range(first, 300, 7)] for first in range(7)}


async def test_from_http_to_a_score_and_a_put_that_kafka_repeats_changes_nothing(
    kafka_api: Api, settings: Settings
) -> None:
    kafka_api.clock.now = kafka_api.clock.now.astimezone(UTC) - timedelta(seconds=5)
    put = (await kafka_api.put("/v1/accounts/acme", {"seats": 10, "name": "Acme"})).json
    assert (await send(kafka_api, usage("acme"))).status == 202

    async def folded() -> bool:
        freshness = (await kafka_api.get("/v1/accounts/acme/health")).json["freshness"]
        return freshness["usage"] is not None

    async with consuming(settings):
        await eventually(folded, "the usage event in the account's health")
    after = (await kafka_api.get("/v1/accounts/acme")).json
    assert {name: after[name] for name in ("seats", "name", "created_at")} == {
        name: put[name] for name in ("seats", "name", "created_at")
    }
    health = (await kafka_api.get("/v1/accounts/acme/health")).json
    assert {measure["name"]: measure["value"] for measure in health["measures"]}["seat_utilization"] == 10.0

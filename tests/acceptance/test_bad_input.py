"""Bad records from Kafka: each is stored with its reason, and the next good record is folded."""

import base64
import json
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from sqlalchemy.ext.asyncio import AsyncEngine

from service.runtime.settings import Settings
from tests.support.cloud_events import cloud_event, encode, usage
from tests.support.service import consuming, folded_up_to, query

pytestmark = pytest.mark.anyio


def bad_records() -> list[tuple[str, bytes, str]]:
    """(signal, value, what the reason must name)."""
    survey = {"survey": "nps", "response_id": "r", "score": float("nan")}
    no_subject = usage("acme")
    del no_subject["subject"]
    return [
        ("usage", b"not json", "is not JSON"),
        ("usage", b"", "is not JSON"),
        ("usage", b"null", "object"),
        ("usage", b"\xff\xfe\x00", "is not JSON"),
        ("usage", encode(cloud_event("ticket", "acme", {"feature": "x"})), "type"),
        ("usage", encode(no_subject), "subject"),
        ("usage", encode(usage("acme", type="usage.invented")), "type"),
        ("usage", encode(usage("a" * 10_000)), "subject"),
        ("usage", encode(cloud_event("usage", "acme", {"feature": "x", "quantity": -1})), "data.quantity"),
        ("usage", encode(usage("acme", time="9999-12-31T23:59:59Z")), "time"),
        ("usage", encode(usage("acme\x00")), "subject"),
        ("usage", b"x" * 900_000, "900,000 bytes"),
        ("survey", json.dumps(cloud_event("survey", "acme", survey)).encode(), "score"),
        ("account", encode(cloud_event("account", "acme", {"arr": "NaN"})), "data.arr"),
        ("ticket", encode(cloud_event("ticket", "acme", {"ticket_id": "t"})), "status"),
    ]


async def test_each_bad_record_is_kept_and_the_next_good_one_is_folded(settings: Settings, engine: AsyncEngine) -> None:
    bad = bad_records()
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka_bootstrap_servers, max_request_size=2_000_000)
    await producer.start()
    headers = [("trace", b"\x00\xff"), ("empty", b"")]
    sent: dict[tuple[str, int], tuple[bytes, str]] = {}
    async with consuming(settings):
        for number, (signal, value, named) in enumerate(bad):
            topic = settings.topics[signal]  # type: ignore[index] # one of the four signals
            place = await producer.send_and_wait(topic, key=b"acme", value=value, headers=headers)
            sent[topic, place.offset] = (value, named)
            good = encode(usage(f"good-{number}"))
            await producer.send_and_wait(settings.topic_usage, key=b"acme", value=good)
        await folded_up_to(engine, 2 * len(bad))
    await producer.stop()

    letters = await query(engine, "SELECT * FROM dead_letters")
    assert len(letters) == len(bad)
    for letter in letters:
        value, named = sent[letter.topic, letter.offset]
        assert letter.value == value
        assert named in letter.reason
        assert letter.key == b"acme"
        assert letter.account_id == "acme"
        kept: list[Any] = [[name, base64.b64decode(text)] for name, text in letter.headers]
        assert kept == [["trace", b"\x00\xff"], ["empty", b""]]
    accounts = {row.account_id for row in await query(engine, "SELECT account_id FROM scores")}
    assert accounts == {f"good-{number}" for number in range(len(bad))}


async def test_binary_mode_is_taken_and_refused_alike(settings: Settings, engine: AsyncEngine) -> None:
    event = usage("acme")
    attributes = [(f"ce_{name}", str(value).encode()) for name, value in event.items() if name != "data"]
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka_bootstrap_servers)
    await producer.start()
    async with consuming(settings):
        for value in (b'{"feature": "x"}', b'{"feature": ""}', b"{"):
            await producer.send_and_wait(
                settings.topic_usage,
                key=b"acme",
                value=value,
                headers=[*attributes[:-1], ("ce_time", event["time"].encode()), ("content-type", b"application/json")],
            )
        await producer.send_and_wait(
            settings.topic_usage, key=b"acme", value=b"{}", headers=[("ce_specversion", b"\xff")]
        )
        await folded_up_to(engine, 4)
    await producer.stop()
    reasons = [row.reason for row in await query(engine, 'SELECT reason FROM dead_letters ORDER BY "offset"')]
    assert [reason.split(":")[0] for reason in reasons] == ["data.feature", "event", "headers"]
    assert len(await query(engine, "SELECT 1 FROM usage_states WHERE account_id = 'acme'")) == 1

"""/v1/dead-letters: every byte that was refused can be seen, and sent again."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from service.messaging.publisher import RawRecord
from service.storage.ingest import dead_letters
from service.storage.ingest.dead_letters import DeadLetterRow
from tests.support.api import Api, make_key

pytestmark = pytest.mark.anyio


async def refuse(engine: AsyncEngine, offset: int, **changes: Any) -> None:
    values: dict[str, Any] = {
        "topic": "usage-events",
        "partition": 3,
        "offset": offset,
        "account_id": None,
        "reason": "data.quantity: must be 1 or more",
        "key": None,
        "value": None,
        "headers": "[]",
        "recorded_at": datetime(2030, 1, 31, tzinfo=UTC),
        **changes,
    }
    async with engine.begin() as connection:
        await dead_letters.insert(connection, [DeadLetterRow(**values)])


async def test_bytes_are_text_where_they_can_be(engine: AsyncEngine, api: Api) -> None:
    binary = b"\xff\x00\x01"
    headers = [["trace", base64.b64encode(b"abc").decode()], ["raw", base64.b64encode(binary).decode()]]
    await refuse(engine, 1, key="ü".encode(), value=b'{"a":\x00', headers=json.dumps(headers), account_id="ü")
    await refuse(engine, 2, value=binary)
    second, first = (await api.get("/v1/dead-letters")).items
    assert first["key"] == {"encoding": "utf-8", "text": "ü"}
    assert first["value"] == {"encoding": "utf-8", "text": '{"a":\x00'}
    assert first["headers"] == [
        {"name": "trace", "encoding": "utf-8", "text": "abc"},
        {"name": "raw", "encoding": "base64", "text": base64.b64encode(binary).decode()},
    ]
    assert (first["topic"], first["partition"], first["offset"], first["account_id"]) == ("usage-events", 3, 1, "ü")
    assert (first["recorded_at"], first["replayed_at"]) == ("2030-01-31T00:00:00Z", None)
    assert second["key"] is None
    assert base64.b64decode(second["value"]["text"]) == binary
    assert second["value"]["encoding"] == "base64"


async def test_pages_and_filters(engine: AsyncEngine, api: Api) -> None:
    for offset in range(6):
        topic = ("usage-events", "ticket-events")[offset % 2]
        await refuse(engine, offset, topic=topic, account_id=("acme", None, "a/b")[offset % 3])
    for size in (1, 2, 3, 6, 100):
        items = await api.all_items(f"/v1/dead-letters?page_size={size}")
        assert [item["offset"] for item in items] == [5, 4, 3, 2, 1, 0]
    for query, offsets in (
        ("topic=ticket-events", [5, 3, 1]),
        ("account_id=a/b", [5, 2]),
        ("account_id=acme&topic=usage-events", [0]),
        ("topic=nothing", []),
        ("reason=quantity", [5, 4, 3, 2, 1, 0]),
        ("reason=%25", []),
        ("since=2020-01-01T00:00:00Z", [5, 4, 3, 2, 1, 0]),
        ("since=2999-01-01T00:00:00Z", []),
        ("replayed=false", [5, 4, 3, 2, 1, 0]),
        ("replayed=true", []),
    ):
        assert [item["offset"] for item in (await api.get(f"/v1/dead-letters?{query}")).items] == offsets, query
    for query, field in (
        ("page_size=101", "page_size"),
        ("topic=a%00", "topic"),
        ("account_id=a%00", "account_id"),
        ("since=2020-01-01T00:00:00", "since"),
        ("page_token=LTE", "page_token"),  # -1
        ("page_token=OTIyMzM3MjAzNjg1NDc3NTgwOA", "page_token"),  # 2**63
    ):
        answer = await api.get(f"/v1/dead-letters?{query}")
        assert (answer.status, answer.fields) == (422, [field]), query


async def test_a_replay_publishes_the_record_as_it_came(engine: AsyncEngine, api: Api) -> None:
    headers = json.dumps([["trace", base64.b64encode(b"abc").decode()], ["trace", ""]])
    await refuse(engine, 7, key=b"\xff", value=b"\x00{}", headers=headers)
    [letter] = (await api.get("/v1/dead-letters")).items
    path = f"/v1/dead-letters/{letter['id']}/replay"
    replayed = await api.post(path)
    assert replayed.status == 200
    assert datetime.fromisoformat(replayed.json["replayed_at"]) == api.clock.now
    assert replayed.json == (await api.get(f"/v1/dead-letters/{letter['id']}")).json
    sent = RawRecord("usage-events", b"\xff", b"\x00{}", [("trace", b"abc"), ("trace", b"")], 3)
    assert api.publisher.raw_records == [sent]

    second = await api.post(path)
    assert second.status == 409
    assert "?again=true" in second.json["detail"]
    assert (await api.post(f"{path}?again=true")).status == 200
    assert api.publisher.raw_records == [sent, sent]


async def test_a_replay_that_kafka_does_not_confirm_can_be_repeated(engine: AsyncEngine, api: Api) -> None:
    await refuse(engine, 7, value=b"{}")
    [letter] = (await api.get("/v1/dead-letters")).items
    api.publisher.is_away = True
    failed = await api.post(f"/v1/dead-letters/{letter['id']}/replay")
    assert (failed.status, failed.headers["Retry-After"]) == (503, "5")
    assert (await api.get(f"/v1/dead-letters/{letter['id']}")).json["replayed_at"] is None
    api.publisher.is_away = False
    assert (await api.post(f"/v1/dead-letters/{letter['id']}/replay")).status == 200


async def test_what_cannot_be_replayed(engine: AsyncEngine, api: Api) -> None:
    await refuse(engine, 1, value=b"x" * (api.app.state.context.settings.max_record_bytes + 1))
    await refuse(engine, 2)
    for letter, why in zip((await api.get("/v1/dead-letters")).items, ("no value", "MAX_RECORD_BYTES"), strict=True):
        refused = await api.post(f"/v1/dead-letters/{letter['id']}/replay")
        assert refused.status == 409
        assert why in refused.json["detail"]
    for number, status in (("999", 404), ("0", 422), ("x", 422), (str(2**63), 422)):
        assert (await api.post(f"/v1/dead-letters/{number}/replay")).status == status
        assert (await api.get(f"/v1/dead-letters/{number}")).status == status
    assert api.publisher.raw_records == []


async def test_replaying_needs_a_key_that_may_write(engine: AsyncEngine, api: Api) -> None:
    await refuse(engine, 7, value=b"{}")
    [letter] = (await api.get("/v1/dead-letters")).items
    path = f"/v1/dead-letters/{letter['id']}/replay"
    assert (await api.post(path, key=await make_key(engine, "read"))).status == 403
    assert (await api.post(path, key=await make_key(engine, "write"))).status == 200

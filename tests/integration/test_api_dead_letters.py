"""/v1/dead-letters: every byte that was refused can be seen."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from service.storage import dead_letters
from service.storage.dead_letters import DeadLetterRow
from tests.support.api import Api

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
    ):
        assert [item["offset"] for item in (await api.get(f"/v1/dead-letters?{query}")).items] == offsets, query
    for query, field in (
        ("page_size=101", "page_size"),
        ("topic=a%00", "topic"),
        ("account_id=a%00", "account_id"),
        ("page_token=LTE", "page_token"),  # -1
        ("page_token=OTIyMzM3MjAzNjg1NDc3NTgwOA", "page_token"),  # 2**63
    ):
        answer = await api.get(f"/v1/dead-letters?{query}")
        assert (answer.status, answer.fields) == (422, [field]), query

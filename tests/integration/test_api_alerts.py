"""/v1/alerts: newest first for people, and for pollers each exactly once, whatever is being written meanwhile."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from service.ids import new_id
from service.storage import alert_lists
from service.storage.tables import alerts
from tests.support.api import Api

pytestmark = pytest.mark.anyio

LONG_AGO = datetime(2030, 1, 31, tzinfo=UTC) - timedelta(days=10_000)


async def write(connection: AsyncConnection, created_at: datetime, number: int, **more: Any) -> UUID:
    row = {
        "id": new_id(),
        "account_id": "acme",
        "sequence": number,
        "rule": "At risk",
        "type": "health.threshold.crossed",
        "state": "firing",
        "data": {"score": 12.5},
        "created_at": created_at,
        **more,
    }
    alert_id: UUID = (await connection.execute(insert(alerts).values(**row).returning(alerts.c.id))).scalar_one()
    return alert_id


async def fill(engine: AsyncEngine, count: int, **more: Any) -> list[str]:
    """Alerts in pairs of one moment, oldest first."""
    async with engine.begin() as connection:
        ids = [
            await write(connection, LONG_AGO + timedelta(minutes=number // 2), number, **more)
            for number in range(count)
        ]
    return [str(each) for each in ids]


async def test_pages_of_any_size_give_all_newest_first(engine: AsyncEngine, api: Api) -> None:
    ids = await fill(engine, 7)
    for size in (1, 2, 3, 7, 8):
        items = await api.all_items(f"/v1/alerts?page_size={size}")
        assert [item["id"] for item in items] == ids[::-1], size
    (newest,) = (await api.get("/v1/alerts?page_size=1")).items
    assert newest == {
        "id": ids[-1],
        "account_id": "acme",
        "sequence": 6,
        "rule_id": None,
        "rule": "At risk",
        "type": "health.threshold.crossed",
        "state": "firing",
        "quiet": False,
        "data": {"score": 12.5},
        "created_at": newest["created_at"],
        "digest_id": None,
        "acknowledged_at": None,
        "acknowledged_by": None,
        "snoozed_until": None,
    }
    assert (await api.get(f"/v1/alerts/{ids[-1]}")).json == newest
    assert (await api.get(f"/v1/alerts/{UUID(int=0)}")).status == 404


async def test_filters(engine: AsyncEngine, api: Api) -> None:
    rule_id = new_id()
    await fill(engine, 2)
    (special,) = await fill(engine, 1, account_id="a/b", rule_id=rule_id, rule="Red", state="resolved")
    for query in ("account_id=a/b", "rule=Red", f"rule={rule_id}", "state=resolved", "state=resolved&rule=Red"):
        assert [item["id"] for item in (await api.get(f"/v1/alerts?{query}")).items] == [special], query
    assert (await api.get("/v1/alerts?state=resolved&account_id=acme")).items == []
    digest = new_id()
    (summed_up,) = await fill(engine, 1, account_id="zeta", digest_id=digest, quiet=True)
    (told,) = await fill(engine, 1, account_id=None, sequence=None, type="health.digest", state="digest")
    for query, found in ((f"digest={digest}", summed_up), ("state=digest", told)):
        assert [item["id"] for item in (await api.get(f"/v1/alerts?{query}")).items] == [found], query
    assert (await api.get(f"/v1/alerts?digest={new_id()}")).items == []
    for query, field in (
        ("digest=x", "digest"),
        ("state=ok", "state"),
        ("account_id=%00", "account_id"),
        ("rule=a%00", "rule"),
        ("x=1", "x"),
    ):
        answer = await api.get(f"/v1/alerts?{query}")
        assert (answer.status, answer.fields) == (422, [field])


async def poll(api: Api, cursor: str, query: str = "") -> tuple[list[str], str]:
    answer = (await api.get(f"/v1/alerts?after={cursor}{query}")).json
    assert answer["next_page_token"] is None
    return [item["id"] for item in answer["items"]], answer["cursor"]


async def test_polling_from_the_beginning_gives_each_once_oldest_first(engine: AsyncEngine, api: Api) -> None:
    ids = await fill(engine, 5)
    for size in (1, 2, 3, 5):
        cursor, seen = "", []
        for _ in range(7):
            items, cursor = await poll(api, cursor, f"&page_size={size}")
            seen += items
        assert seen == ids, size


async def test_a_cursor_of_the_newest_page_gives_what_comes_later(engine: AsyncEngine, api: Api) -> None:
    await fill(engine, 3)
    cursor = (await api.get("/v1/alerts")).json["cursor"]
    assert (await poll(api, cursor))[0] == []
    async with engine.begin() as connection:
        late = await write(connection, datetime.now(UTC), 9)
    assert (await poll(api, cursor))[0] == []  # not yet: something older may still be written
    await asyncio.sleep(2.1)
    items, cursor = await poll(api, cursor)
    assert items == [str(late)]
    assert (await poll(api, cursor))[0] == []


async def test_polling_brings_digests(engine: AsyncEngine, api: Api) -> None:
    ids = await fill(engine, 2)
    ids += await fill(engine, 1, account_id=None, sequence=None, type="health.digest", state="digest")
    first, cursor = await poll(api, "", "&page_size=2")
    second, cursor = await poll(api, cursor, "&page_size=2")
    assert sorted(first + second) == sorted(ids)
    assert (await poll(api, cursor))[0] == []
    items = (await api.get("/v1/alerts?after=&state=digest")).items
    assert [(item["account_id"], item["sequence"]) for item in items] == [(None, None)]


async def test_an_alert_that_is_finished_later_is_not_passed_over(engine: AsyncEngine, api: Api) -> None:
    now = datetime.now(UTC)
    async with engine.begin() as slow:
        first = await write(slow, now, 1)
        async with engine.begin() as quick:
            second = await write(quick, now + timedelta(milliseconds=1), 2)
        await asyncio.sleep(2.1)
        seen, cursor = await poll(api, "")
        assert seen == []
    items, cursor = await poll(api, cursor)
    assert items == [str(first), str(second)]
    assert (await poll(api, cursor))[0] == []


async def test_strangers_do_not_hold_the_polling_up(engine: AsyncEngine, api: Api) -> None:
    async with engine.connect() as connection:
        await connection.exec_driver_sql("SET application_name = 'an analyst'")
        await connection.exec_driver_sql("SELECT 1")
        await asyncio.sleep(0.6)
        async with engine.connect() as other:
            settled = await alert_lists.settled(other)
            now = (await other.exec_driver_sql("SELECT statement_timestamp()")).scalar_one()
        assert now - settled < timedelta(seconds=2.5)


async def test_cursors_that_are_none(api: Api) -> None:
    for query, field in (("after=x", "after"), ("after=WzEsMl0", "after"), ("after=&page_token=x", "page_token")):
        answer = await api.get(f"/v1/alerts?{query}")
        assert (answer.status, answer.fields) == (422, [field])

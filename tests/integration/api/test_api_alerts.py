"""/v1/alerts: newest first for people, and for pollers each exactly once, whatever is being written meanwhile."""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from service.api.http.pagination import encode_token
from service.runtime.ids import new_id
from service.storage.database.tables import alerts
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
    return [item["id"] for item in answer["items"]], answer["next_after"]


async def test_polling_from_the_beginning_gives_each_once_oldest_first(engine: AsyncEngine, api: Api) -> None:
    ids = await fill(engine, 5)
    for size in (1, 2, 3, 5):
        cursor, seen = "", []
        for _ in range(7):
            items, cursor = await poll(api, cursor, f"&page_size={size}")
            seen += items
        assert seen == ids, size


async def test_from_the_newest_page_on_what_comes_later_is_given_at_once(engine: AsyncEngine, api: Api) -> None:
    await fill(engine, 3)
    cursor = (await api.get("/v1/alerts")).json["next_after"]
    assert (await poll(api, cursor))[0] == []
    async with engine.begin() as connection:
        late = await write(connection, datetime.now(UTC), 9)
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
        seen, cursor = await poll(api, "")
        assert seen == []
    items, cursor = await poll(api, cursor)
    assert items == [str(first), str(second)]
    assert (await poll(api, cursor))[0] == []


async def test_nor_is_one_that_is_dated_long_before(engine: AsyncEngine, api: Api) -> None:
    """Clocks of processes may disagree, and a transaction may be open for long."""
    ids = await fill(engine, 1)
    seen, cursor = await poll(api, "")
    assert seen == ids
    async with engine.begin() as slow:
        await slow.exec_driver_sql("SELECT pg_current_xact_id()")
        async with engine.begin() as quick:
            second = await write(quick, LONG_AGO + timedelta(days=2), 2)
        seen, cursor = await poll(api, cursor)
        assert seen == []
        first = await write(slow, LONG_AGO - timedelta(days=2), 3)
    items, cursor = await poll(api, cursor)
    assert items == [str(first), str(second)]
    assert (await poll(api, cursor))[0] == []


async def test_while_many_write_a_poller_gets_each_exactly_once(engine: AsyncEngine, api: Api) -> None:
    written: list[str] = []

    async def writer(number: int) -> None:
        draw = random.Random(number)
        for n in range(15):
            async with engine.begin() as connection:
                for m in range(draw.randint(1, 3)):
                    alert_id = await write(connection, datetime.now(UTC), n * 10 + m, account_id=f"account-{number}")
                    written.append(str(alert_id))
                    await asyncio.sleep(draw.random() / 50)

    writers = asyncio.gather(*(writer(number) for number in range(4)))
    seen: list[str] = []
    cursor = ""
    while not writers.done():
        items, cursor = await poll(api, cursor, "&page_size=3")
        seen += items
    await writers
    while (page := await poll(api, cursor, "&page_size=3"))[0]:
        seen += page[0]
        cursor = page[1]
    assert sorted(seen) == sorted(written)


async def test_those_who_only_read_do_not_hold_the_polling_up(engine: AsyncEngine, api: Api) -> None:
    async with engine.begin() as analyst:
        await analyst.exec_driver_sql("SELECT count(*) FROM alerts")
        ids = await fill(engine, 1)
        assert (await poll(api, ""))[0] == ids


async def test_a_filter_does_not_stop_the_polling_short(engine: AsyncEngine, api: Api) -> None:
    _, cursor = await poll(api, "", "&account_id=zeta")
    for number in range(3):
        await fill(engine, 2, account_id=f"other-{number}")
        items, later = await poll(api, cursor, "&account_id=zeta&page_size=1")
        assert items == []
        assert later != cursor
        cursor = later
    ids = await fill(engine, 2, account_id="zeta")
    first, cursor = await poll(api, cursor, "&account_id=zeta&page_size=1")
    second, cursor = await poll(api, cursor, "&account_id=zeta&page_size=1")
    assert first + second == ids
    assert (await poll(api, cursor, "&account_id=zeta&page_size=1"))[0] == []


async def test_after_a_restore_a_poller_is_asked_to_start_over(engine: AsyncEngine, api: Api) -> None:
    """Transactions are renumbered then, so its cursor lies far ahead."""
    await fill(engine, 1)
    ahead = encode_token((2**40, UUID(int=0)))
    answer = await api.get(f"/v1/alerts?after={ahead}")
    assert (answer.status, answer.fields) == (422, ["after"])
    assert "restored" in answer.json["errors"][0]["message"]


async def test_cursors_that_are_none(api: Api) -> None:
    for query, field in (("after=x", "after"), ("after=WzEsMl0", "after"), ("after=&page_token=x", "page_token")):
        answer = await api.get(f"/v1/alerts?{query}")
        assert (answer.status, answer.fields) == (422, [field])

"""After a change of scorecards or rules every account is evaluated again: each once, whatever happens meanwhile."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Row
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from consumers.sweep.runner import reevaluate_once
from service.runtime.settings import Settings
from service.storage.accounts import accounts
from service.storage.policy import reevaluations, rules
from tests.support.api import Api
from tests.support.service import eventually, query
from tests.support.sweeping import START, Clock, by_active_days, used

pytestmark = pytest.mark.anyio

HUNDRED = [f"account-{number:03}" for number in range(100)]
LATER = START + timedelta(minutes=1)


@pytest.fixture
async def clock(engine: AsyncEngine, database_settings: Settings) -> Clock:
    """A hundred accounts, evaluated by version 1, and sweepers that take thirty at a time."""
    clock = Clock(engine, database_settings.model_copy(update={"sweep_batch": 30}))
    await clock.fold({each: [used(each, START)] for each in HUNDRED}, START)
    return clock


async def step(clock: Clock) -> int:
    return await reevaluate_once(clock.engine, clock.policies, clock.settings, LATER)


async def one(engine: AsyncEngine, reevaluation: UUID) -> Row[Any]:
    async with engine.begin() as connection:
        row = await reevaluations.get(connection, reevaluation)
    assert row is not None
    return row


async def judged_by(engine: AsyncEngine) -> Sequence[Any]:
    counted = "SELECT scorecard_version, count(*) FROM scores GROUP BY 1 ORDER BY 1"
    return [tuple(row) for row in await query(engine, counted)]


async def moves(engine: AsyncEngine) -> int:
    """The number of times that an account was switched, as digests report it."""
    return int((await query(engine, "SELECT coalesce(sum(accounts), 0) FROM digest_moves"))[0][0])


async def test_every_account_is_scored_by_the_new_scorecard_and_progress_is_shown(
    clock: Clock, engine: AsyncEngine
) -> None:
    begun = await clock.publish(by_active_days(10), LATER)
    progress = []
    while await step(clock):
        row = await one(engine, begun)
        progress.append((row.done, row.total, row.finished_at))
    assert progress == [(done, 100, None) for done in (30, 60, 90, 100)]
    finished = await one(engine, begun)
    assert (finished.done, finished.total, finished.finished_at) == (100, 100, LATER)
    assert await judged_by(engine) == [(2, 100)]
    assert {row.score for row in await query(engine, "SELECT score FROM scores")} == {10.0}
    assert await moves(engine) == 100
    assert await step(clock) == 0


async def test_two_sweepers_share_it_and_judge_nobody_twice(clock: Clock, engine: AsyncEngine) -> None:
    begun = await clock.publish(by_active_days(10), LATER)
    small = clock.settings.model_copy(update={"sweep_batch": 3})

    async def sweep() -> int:
        judged = 0
        while (await one(engine, begun)).finished_at is None:
            judged += await reevaluate_once(engine, clock.policies, small, LATER)
            await asyncio.sleep(0)
        return judged

    shares = await asyncio.gather(sweep(), sweep())
    assert sum(shares) == (await one(engine, begun)).done == await moves(engine) == 100
    assert all(shares)
    assert await judged_by(engine) == [(2, 100)]


async def test_a_step_that_is_killed_is_done_again_from_where_it_began(clock: Clock, engine: AsyncEngine) -> None:
    begun = await clock.publish(by_active_days(10), LATER)
    assert await step(clock) == 30
    async with engine.connect() as holder:
        await holder.exec_driver_sql(f"SELECT 1 FROM scores WHERE account_id = '{HUNDRED[45]}' FOR UPDATE")
        stuck = asyncio.create_task(step(clock))
        waits = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"

        async def is_stuck() -> bool:
            return bool(await query(engine, waits))

        await eventually(is_stuck, "the step waits for an account")
        await query(engine, f"SELECT pg_terminate_backend(pid) FROM ({waits}) AS stuck")
        with pytest.raises(DBAPIError):
            await stuck
    assert await judged_by(engine) == [(1, 70), (2, 30)]
    assert (await one(engine, begun)).done == await moves(engine) == 30
    assert await clock.reevaluate(LATER) == 70
    assert (await one(engine, begun)).done == await moves(engine) == 100
    assert await judged_by(engine) == [(2, 100)]


async def test_a_second_publication_takes_over_and_reports_both_in_one_digest(
    clock: Clock, engine: AsyncEngine
) -> None:
    first = await clock.publish(by_active_days(10), LATER)
    assert await step(clock) == 30
    second = await clock.publish(by_active_days(20), LATER)
    broken_off = await one(engine, first)
    assert (broken_off.done, broken_off.total, broken_off.finished_at) == (30, 100, LATER)
    assert (await one(engine, second)).digest_id == broken_off.digest_id
    assert await clock.reevaluate(LATER) == 100
    assert await judged_by(engine) == [(3, 100)]
    assert await moves(engine) == 130
    told = await query(engine, "SELECT data FROM alerts WHERE state = 'digest'")
    assert [row.data["digest"]["subject"] for row in told] == ["default version 2, default version 3"]


async def test_a_publication_that_waits_for_the_last_step_has_a_digest_of_its_own(
    clock: Clock, engine: AsyncEngine
) -> None:
    """It must not continue with a digest that is being sent."""
    first = await clock.publish(by_active_days(10), LATER)
    for _ in range(4):
        await step(clock)
    async with engine.connect() as batch:
        await clock.policies.in_force(batch)  # which the last step waits for
        telling = asyncio.create_task(step(clock))
        await asyncio.sleep(0.3)
        publishing = asyncio.create_task(clock.publish(by_active_days(20), LATER))
        await asyncio.sleep(0.3)
        assert not telling.done()
        assert not publishing.done()
        await batch.commit()
        assert await telling == 0
        second = await publishing
    assert (await one(engine, first)).digest_id != (await one(engine, second)).digest_id
    await clock.reevaluate(LATER)
    told = await query(engine, "SELECT data FROM alerts WHERE state = 'digest' ORDER BY id")
    assert [row.data["digest"]["subject"] for row in told] == ["default version 2", "default version 3"]
    assert [sum(move["accounts"] for move in row.data["digest"]["bands"]) for row in told] == [100, 100]


async def test_a_change_of_rules_goes_on_with_the_digest_of_a_scorecard(clock: Clock, engine: AsyncEngine) -> None:
    rule = await clock.add_rule("Recovered", "score", direction="above", level=99.0)
    first = await clock.publish(by_active_days(10), LATER)
    assert await step(clock) == 30
    second = await clock.remove_rule(rule, LATER)
    assert (await one(engine, second)).digest_id == (await one(engine, first)).digest_id
    assert await clock.reevaluate(LATER) == 100
    told = await query(engine, "SELECT data FROM alerts WHERE state = 'digest'")
    assert [sum(move["accounts"] for move in row.data["digest"]["bands"]) for row in told] == [100]


async def test_accounts_that_come_and_go_meanwhile(clock: Clock, engine: AsyncEngine) -> None:
    """An account created before the cursor is scored by the new scorecard anyway; an erased one stays erased."""
    begun = await clock.publish(by_active_days(10), LATER)
    await step(clock)
    await clock.fold({each: [used(each, START)] for each in ("aaa", "zzz")}, LATER)
    async with engine.connect() as erasing:
        await accounts.erase(erasing, HUNDRED[40])
        walking = asyncio.create_task(step(clock))
        await asyncio.sleep(0.3)
        assert not walking.done()
        await erasing.commit()
        assert await walking == 29
    assert await query(engine, "SELECT 1 FROM scores WHERE account_id = :id", id=HUNDRED[40]) == []
    assert await clock.reevaluate(LATER) == 41
    row = await one(engine, begun)
    assert (row.done, row.total) == (100, 100)
    assert await judged_by(engine) == [(2, 101)]


async def test_a_rule_is_applied_to_accounts_that_nothing_happens_to(clock: Clock, api: Api) -> None:
    created = await api.post(
        "/v1/alert-rules", {"name": "Low", "kind": "score", "direction": "below", "level": 90, "enabled": True}
    )
    rule = created.json
    await clock.reevaluate(LATER)
    alerts = await api.all_items("/v1/alerts?state=firing&page_size=1000")
    assert sorted(alert["account_id"] for alert in alerts) == HUNDRED
    assert all(alert["quiet"] for alert in alerts)

    disabled = await api.patch(f"/v1/alert-rules/{rule['id']}", {"enabled": False})
    assert await clock.reevaluate(LATER) == 100
    resolved = await api.all_items("/v1/alerts?state=resolved&page_size=1000")
    assert sorted(alert["account_id"] for alert in resolved) == HUNDRED
    assert {(alert["rule"], alert["sequence"]) for alert in resolved} == {("Low", 2)}

    enabled = await api.patch(f"/v1/alert-rules/{rule['id']}", {"enabled": True})
    await clock.reevaluate(LATER)
    assert (await api.delete(f"/v1/alert-rules/{rule['id']}")).status == 204
    await clock.reevaluate(LATER)
    last = await api.all_items("/v1/alerts?state=resolved&page_size=1000")
    assert [alert["sequence"] for alert in last].count(4) == 100

    listed = (await api.get("/v1/reevaluations")).items
    assert [each["id"] for each in listed[1:]] == [each.json["reevaluation"] for each in (enabled, disabled, created)]
    assert {(each["cause"], each["subject"], each["done"], each["total"]) for each in listed} == {
        ("rule", "Low", 100, 100)
    }


async def test_a_change_that_began_earlier_and_is_finished_later_is_taken_up(clock: Clock, engine: AsyncEngine) -> None:
    """Rules are dated when their transaction begins."""
    first = await clock.add_rule("First", "score", direction="below", level=90.0)
    second = await clock.add_rule("Second", "score", direction="below", level=90.0)
    async with engine.connect() as slow:
        await slow.exec_driver_sql("SELECT 1")
        await clock.remove_rule(second, LATER)
        async with engine.begin() as connection:
            assert len((await clock.policies.in_force(connection)).rules) == 1
        await rules.remove(slow, first)
        await slow.commit()
    async with engine.begin() as connection:
        assert (await clock.policies.in_force(connection)).rules == ()


async def test_they_are_listed_newest_first(clock: Clock, api: Api) -> None:
    begun = [str(await clock.publish(by_active_days(days), LATER)) for days in (10, 11, 12)]
    for size in (1, 2, 3, 4):
        listed = await api.all_items(f"/v1/reevaluations?page_size={size}")
        assert sorted(each["id"] for each in listed) == sorted(begun), size
    assert [each["finished_at"] is None for each in listed].count(True) == 1
    (under_way,) = [each for each in listed if each["finished_at"] is None]
    assert under_way == (await api.get(f"/v1/reevaluations/{begun[2]}")).json
    assert under_way == {
        "id": begun[2],
        "cause": "scorecard",
        "subject": "default version 4",
        "total": 100,
        "done": 0,
        "started_at": "2026-03-02T12:01:00Z",
        "finished_at": None,
        "digest_id": under_way["digest_id"],
    }
    assert (await api.get(f"/v1/reevaluations/{UUID(int=0)}")).status == 404
    assert (await api.get("/v1/reevaluations?page_token=x")).fields == ["page_token"]

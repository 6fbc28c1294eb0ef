"""Endpoints that hold a state: of an account's messages only the newest is sent, once a minute."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from aiohttp import web
from sqlalchemy import event, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from service.runtime.ids import new_id
from service.storage.database.tables import alerts, webhook_endpoints
from service.storage.database.tables import deliveries as table
from service.storage.webhooks import outbox, resend
from service.storage.webhooks.delivery_results import AttemptRecord, DeliveryState
from service.storage.webhooks.outbox import ClaimedDelivery, SendingLimits
from service.targets import COALESCED
from tests.support import webhooks
from tests.support.crm import Asked, crm, hubspot_done
from tests.support.webhooks import add_alert, add_endpoint, local_settings, states, until, working

pytestmark = pytest.mark.anyio
URL = "https://api.hubapi.com"


async def claim(
    conn: AsyncConnection, *, seconds_on: float = 1, limit: int = 100, lease_seconds: float = 600
) -> list[ClaimedDelivery]:
    now = datetime.now(UTC) + timedelta(seconds=seconds_on)
    limits = SendingLimits(room={}, default_room=100, coalesced=COALESCED)
    return await outbox.claim(conn, limit, now, lease_seconds, limits)


async def record(conn: AsyncConnection, claimed: ClaimedDelivery, state: DeliveryState, seconds_on: float = 1) -> bool:
    now = datetime.now(UTC) + timedelta(seconds=seconds_on)
    attempt = AttemptRecord(started_at=now, duration_seconds=0.1, status=200, error=None, response=None)
    due_at = now + timedelta(minutes=5) if state == "pending" else now
    return await webhooks.record(conn, claimed, attempt, state, due_at, now)


async def state_of(conn: AsyncConnection, alert_id: UUID) -> str:
    return str((await conn.execute(select(table.c.state).where(table.c.alert_id == alert_id))).scalar_one())


def alert_ids(claimed: Sequence[ClaimedDelivery]) -> list[UUID]:
    return [each.alert_id for each in claimed]


async def test_the_newest_of_an_account_is_taken_and_the_older_are_superseded(engine: AsyncEngine) -> None:
    await add_endpoint(engine, URL, target="hubspot")
    acme = [await add_alert(engine, "acme", sequence) for sequence in (1, 2, 3)]
    beta = await add_alert(engine, "beta", 1)
    async with engine.begin() as conn:
        claimed = await claim(conn)
    assert set(alert_ids(claimed)) == {acme[2], beta}
    assert {each.attempt for each in claimed} == {1}
    async with engine.connect() as conn:
        assert [await state_of(conn, each) for each in acme] == ["superseded", "superseded", "pending"]
        finished = select(table.c.alert_id, table.c.lease).where(table.c.finished_at.is_not(None))
        assert {tuple(row) for row in await conn.execute(finished)} == {(acme[0], None), (acme[1], None)}


async def test_the_newest_is_taken_in_place_of_an_older_one_that_was_due_first(engine: AsyncEngine) -> None:
    await add_endpoint(engine, URL, target="hubspot")
    acme = [await add_alert(engine, "acme", sequence) for sequence in (1, 2, 3)]
    async with engine.begin() as conn:
        assert alert_ids(await claim(conn, limit=1)) == [acme[2]]
        assert await claim(conn) == []


async def test_an_account_has_a_minute_between_two_updates(engine: AsyncEngine) -> None:
    await add_endpoint(engine, URL, target="hubspot")
    await add_alert(engine, "acme", 1)
    async with engine.begin() as conn:
        [first] = await claim(conn)
        await record(conn, first, "succeeded")
    second = await add_alert(engine, "acme", 2)
    other = await add_alert(engine, "beta", 1)
    async with engine.begin() as conn:
        assert alert_ids(await claim(conn, seconds_on=30)) == [other]
    newest = await add_alert(engine, "acme", 3)
    async with engine.begin() as conn:
        assert await claim(conn, seconds_on=58) == []
        assert await state_of(conn, second) == "superseded"
        due_at = (await conn.execute(select(table.c.due_at).where(table.c.alert_id == newest))).scalar_one()
        finished = (await conn.execute(select(table.c.finished_at).where(table.c.state == "succeeded"))).scalar_one()
        assert due_at == finished + timedelta(seconds=60)
        assert alert_ids(await claim(conn, seconds_on=62)) == [newest]


async def test_an_endpoint_of_another_target_gets_every_message(engine: AsyncEngine) -> None:
    await add_endpoint(engine, URL, target="hubspot")
    story = await add_endpoint(engine, "https://other.example.com")
    acme = [await add_alert(engine, "acme", sequence) for sequence in (1, 2, 3)]
    async with engine.begin() as conn:
        claimed = await claim(conn)
    assert alert_ids([each for each in claimed if each.endpoint_id == story]) == acme
    assert alert_ids([each for each in claimed if each.endpoint_id != story]) == [acme[2]]


async def test_two_endpoints_of_an_account_do_not_wait_for_each_other(engine: AsyncEngine) -> None:
    await add_endpoint(engine, URL, target="hubspot")
    await add_alert(engine, "acme", 1)
    async with engine.begin() as conn:
        [first] = await claim(conn)
        await record(conn, first, "succeeded")
    other = await add_endpoint(engine, URL, target="hubspot")
    await add_alert(engine, "acme", 2)
    async with engine.begin() as conn:
        assert [each.endpoint_id for each in await claim(conn)] == [other]


async def test_what_somebody_is_sending_is_left_alone_and_the_newest_waits_for_it(engine: AsyncEngine) -> None:
    await add_endpoint(engine, URL, target="hubspot")
    older = await add_alert(engine, "acme", 1)
    async with engine.begin() as conn:
        [sending] = await claim(conn)
    newest = await add_alert(engine, "acme", 2)
    async with engine.begin() as conn:
        assert await claim(conn, seconds_on=2) == []
        assert await state_of(conn, older) == "pending"
        assert await claim(conn, seconds_on=2.5) == []
        assert await record(conn, sending, "pending", seconds_on=2.8)
        assert alert_ids(await claim(conn, seconds_on=4)) == [newest]
        assert await state_of(conn, older) == "superseded"


async def test_a_sender_whose_lease_lapsed_can_t_bring_back_what_was_superseded(engine: AsyncEngine) -> None:
    await add_endpoint(engine, URL, target="hubspot")
    older = await add_alert(engine, "acme", 1)
    async with engine.begin() as conn:
        [stale] = await claim(conn, lease_seconds=5)
    newest = await add_alert(engine, "acme", 2)
    async with engine.begin() as conn:
        assert alert_ids(await claim(conn, seconds_on=10)) == [newest]
        assert not await record(conn, stale, "pending", seconds_on=11)
        assert await state_of(conn, older) == "superseded"


async def test_the_newest_is_taken_over_from_a_sender_whose_lease_lapsed(engine: AsyncEngine) -> None:
    await add_endpoint(engine, URL, target="hubspot")
    older, newest = [await add_alert(engine, "acme", sequence) for sequence in (1, 2)]
    async with engine.begin() as conn:
        assert alert_ids(await claim(conn, lease_seconds=5)) == [newest]
        again = {"state": "pending", "finished_at": None, "due_at": datetime.now(UTC) - timedelta(hours=1)}
        await conn.execute(table.update().where(table.c.alert_id == older).values(again))
        assert alert_ids(await claim(conn, seconds_on=10, limit=1)) == [newest]
        assert await state_of(conn, older) == "superseded"


async def test_an_older_one_that_failed_gives_way_though_its_next_attempt_is_not_due(engine: AsyncEngine) -> None:
    await add_endpoint(engine, URL, target="hubspot")
    older = await add_alert(engine, "acme", 1)
    async with engine.begin() as conn:
        [failed] = await claim(conn)
        await record(conn, failed, "pending")
    newest = await add_alert(engine, "acme", 2)
    async with engine.begin() as conn:
        assert alert_ids(await claim(conn, seconds_on=2)) == [newest]
        assert await state_of(conn, older) == "superseded"


async def test_the_newest_that_failed_keeps_its_time_and_what_is_older_does_not_overtake_it(
    engine: AsyncEngine,
) -> None:
    await add_endpoint(engine, URL, target="hubspot")
    older, newest = [await add_alert(engine, "acme", sequence) for sequence in (1, 2)]
    async with engine.begin() as conn:
        [failed] = await claim(conn)
        await record(conn, failed, "pending")
        again = {"state": "pending", "finished_at": None, "due_at": datetime.now(UTC)}
        await conn.execute(table.update().where(table.c.alert_id == older).values(again))
        assert await claim(conn, seconds_on=2) == []
        assert await state_of(conn, older) == "superseded"
        assert alert_ids(await claim(conn, seconds_on=302)) == [newest]


@pytest.mark.parametrize("ended", ["succeeded", "failed"])
async def test_what_is_older_than_one_that_has_ended_is_not_sent_after_it(
    engine: AsyncEngine, ended: DeliveryState
) -> None:
    """A delivery that seemed to fail may have arrived."""
    await add_endpoint(engine, URL, target="hubspot")
    older, _ = [await add_alert(engine, "acme", sequence) for sequence in (1, 2)]
    async with engine.begin() as conn:
        [sent] = await claim(conn)
        await record(conn, sent, ended)
        again = {"state": "pending", "finished_at": None, "due_at": datetime.now(UTC)}
        await conn.execute(table.update().where(table.c.alert_id == older).values(again))
        assert await claim(conn, seconds_on=600) == []
        assert await state_of(conn, older) == "superseded"


# --- incidents --------------------------------------------------------------------------------------------------

RULE, OTHER_RULE = new_id(), new_id()
RESOLVED = {"type": "health.threshold.resolved", "state": "resolved"}


async def test_a_firing_that_waits_to_be_tried_again_gives_way_to_its_end(engine: AsyncEngine) -> None:
    await add_endpoint(engine, "https://oncall.example.com", target="alertmanager")
    firing = await add_alert(engine, "acme", 1, rule_id=RULE)
    async with engine.begin() as conn:
        [failed] = await claim(conn)
        await record(conn, failed, "pending")
    resolved = await add_alert(engine, "acme", 2, rule_id=RULE, **RESOLVED)
    async with engine.begin() as conn:
        [sent] = await claim(conn, seconds_on=2)
        assert sent.alert_id == resolved
        await record(conn, sent, "succeeded")
        assert await state_of(conn, firing) == "superseded"
        assert await claim(conn, seconds_on=100_000) == []


async def test_the_end_waits_while_the_firing_is_being_sent_and_for_no_minute_after(engine: AsyncEngine) -> None:
    await add_endpoint(engine, "https://oncall.example.com", target="alertmanager")
    firing = await add_alert(engine, "acme", 1, rule_id=RULE)
    async with engine.begin() as conn:
        [sending] = await claim(conn)
    resolved = await add_alert(engine, "acme", 2, rule_id=RULE, **RESOLVED)
    async with engine.begin() as conn:
        assert await claim(conn, seconds_on=2) == []
        await record(conn, sending, "succeeded", seconds_on=2.5)
        assert alert_ids(await claim(conn, seconds_on=4)) == [resolved]
        assert await state_of(conn, firing) == "succeeded"


async def test_a_firing_sent_again_by_hand_after_its_end_stays_unsent(engine: AsyncEngine) -> None:
    await add_endpoint(engine, "https://oncall.example.com", target="alertmanager")
    firing = await add_alert(engine, "acme", 1, rule_id=RULE)
    async with engine.begin() as conn:
        [failed] = await claim(conn)
        await record(conn, failed, "failed")
    resolved = await add_alert(engine, "acme", 2, rule_id=RULE, **RESOLVED)
    async with engine.begin() as conn:
        [sent] = await claim(conn)
        assert sent.alert_id == resolved
        await record(conn, sent, "succeeded")
        assert await resend.resend(conn, failed.id, datetime.now(UTC))
        assert await claim(conn, seconds_on=5) == []
        assert await state_of(conn, firing) == "superseded"


async def test_incidents_of_an_account_are_sent_one_by_one(engine: AsyncEngine) -> None:
    await add_endpoint(engine, "https://oncall.example.com", target="alertmanager")
    first = await add_alert(engine, "acme", 1, rule_id=RULE)
    second = await add_alert(engine, "acme", 2, rule_id=OTHER_RULE)
    other = await add_alert(engine, "beta", 1, rule_id=RULE)
    digest = await add_alert(engine, None, None, type="health.digest", state="digest", data={"account_id": None})
    async with engine.begin() as conn:
        assert set(alert_ids(await claim(conn))) == {first, second, other, digest}


async def test_two_that_claim_at_once_never_send_two_of_an_account(engine: AsyncEngine) -> None:
    """One process has claimed and not yet committed when a newer alert arrives, which another finds."""
    await add_endpoint(engine, URL, target="hubspot")
    older = await add_alert(engine, "acme", 1)
    async with engine.begin() as one:
        assert alert_ids(await claim(one)) == [older]
        newest = await add_alert(engine, "acme", 2)
        async with engine.begin() as two:
            assert await asyncio.wait_for(claim(two), 2) == []
    async with engine.begin() as conn:
        assert [await state_of(conn, each) for each in (older, newest)] == ["pending", "pending"]


async def test_a_message_about_no_account_is_claimed_all_the_same(engine: AsyncEngine) -> None:
    """It was written before the endpoint's target was changed; the attempt names the fault."""
    endpoint = await add_endpoint(engine, URL)
    digest = await add_alert(engine, None, None, type="health.digest", data={"account_id": None})
    async with engine.begin() as conn:
        await conn.execute(webhook_endpoints.update().values(target="hubspot"))
        [claimed] = await claim(conn)
    assert (claimed.endpoint_id, claimed.alert_id) == (endpoint, digest)


async def test_without_such_endpoints_claiming_is_one_statement(engine: AsyncEngine) -> None:
    statements: list[str] = []
    await add_endpoint(engine, "https://other.example.com")
    await add_alert(engine, "acme")
    async with engine.begin() as conn:
        event.listen(conn.sync_connection, "before_cursor_execute", lambda *arguments: statements.append(arguments[2]))
        assert len(await claim(conn)) == 1
        assert len(statements) == 1


async def test_two_workers_send_the_newest_of_every_account_once(engine: AsyncEngine) -> None:
    async def slowly(asked: Asked) -> web.Response:
        await asyncio.sleep(0.02)
        return await hubspot_done(asked)

    accounts = [f"account-{n}" for n in range(12)]
    async with crm(slowly) as hubspot:
        await add_endpoint(engine, hubspot.url, target="hubspot")
        settings = local_settings(webhook_concurrency=64)
        for sequence in (1, 2):
            await asyncio.gather(*(add_alert(engine, account, sequence) for account in accounts))
        async with working(engine, settings) as first, working(engine, settings) as second:
            for sequence in (3, 4):
                await asyncio.gather(*(add_alert(engine, account, sequence) for account in accounts))
                await asyncio.sleep(0.05)
            await until(lambda: len(first) + len(second) >= len(accounts))
            await asyncio.sleep(1.5)
            told = sorted(asked.json["inputs"][0]["id"] for asked in hubspot.asked)
            assert told == sorted(accounts)
            async with engine.begin() as conn:
                sooner = table.update().where(table.c.state == "succeeded")
                await conn.execute(sooner.values(finished_at=table.c.finished_at - timedelta(seconds=60)))
                waiting = table.update().where(table.c.state == "pending")
                await conn.execute(waiting.values(due_at=datetime.now(UTC)))
            async with asyncio.timeout(10):
                while "pending" in await states(engine):
                    await asyncio.sleep(0.05)
    async with engine.connect() as conn:
        newest = select(alerts.c.account_id, alerts.c.sequence).join(table).where(table.c.state == "succeeded")
        last: dict[str, int] = {}
        for account, sequence in await conn.execute(newest):
            last[account] = max(sequence, last.get(account, 0))
    assert last == dict.fromkeys(accounts, 4)
    assert first
    assert second
    assert set(await states(engine)) == {"succeeded", "superseded"}

"""The outbox tables: the receivers of each message, the process that may send it, and the log of it."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from service.runtime.ids import new_id
from service.storage.alerts import routing
from service.storage.database.tables import deliveries as table
from service.storage.webhooks import delivery_log, delivery_results, endpoints, outbox
from service.storage.webhooks.delivery_results import AttemptRecord, AttemptResult
from service.storage.webhooks.outbox import ClaimedDelivery, SendingLimits
from tests.support.webhooks import add_account, add_alert, add_endpoint, record, states

pytestmark = pytest.mark.anyio
NOW = datetime.now(UTC)
RULE = uuid4()


async def claim(
    conn: AsyncConnection, limit: int = 100, *, seconds_on: float = 1, room: dict[UUID, int] | None = None
) -> list[ClaimedDelivery]:
    now = datetime.now(UTC) + timedelta(seconds=seconds_on)
    return await outbox.claim(conn, limit, now, 60, SendingLimits(room=room or {}, default_room=100))


def attempt(status: int = 200) -> AttemptRecord:
    return AttemptRecord(started_at=NOW, duration_seconds=0.5, status=status, error=None, response="ok")


PASSED: list[dict[str, object]] = [
    {},
    {"event_types": ["health.band.changed", "health.threshold.crossed"]},
    {"rules": ["another", "the rule"]},
    {"rules": [str(RULE)]},
    {"bands": ["yellow", "red"]},
    {"segments": ["enterprise"]},
    {"stages": ["onboarding"]},
    {"owners": ["ann@example.com"]},
    {"bands": ["red"], "segments": ["enterprise"], "rules": ["the rule"]},
]
NOT_PASSED: list[dict[str, object]] = [
    {"event_types": ["health.band.changed"]},
    {"event_types": []},
    {"rules": ["the other rule", str(uuid4())]},
    {"bands": ["green"]},
    {"segments": ["smb"]},
    {"stages": ["renewal"]},
    {"owners": ["bob@example.com"]},
    {"bands": ["red"], "segments": ["smb"], "rules": ["the rule"]},
    {"enabled": False},
]


async def test_an_alert_goes_to_the_endpoints_whose_filters_it_passes(engine: AsyncEngine) -> None:
    await add_account(engine, "acme", segment="enterprise", stage="onboarding", owner="ann@example.com")
    passed = {await add_endpoint(engine, "https://crm.example/", **filters) for filters in PASSED}
    for filters in NOT_PASSED:
        await add_endpoint(engine, "https://crm.example/", **filters)
    await add_alert(engine, "acme", rule="the rule", rule_id=RULE)
    async with engine.connect() as conn:
        assert set((await conn.execute(select(table.c.endpoint_id))).scalars()) == passed


async def test_an_account_without_attributes_passes_no_filter_on_them(engine: AsyncEngine) -> None:
    await add_endpoint(engine, "https://all.example/")
    await add_endpoint(engine, "https://some.example/", segments=["enterprise"])
    await add_alert(engine, "unknown")
    assert await states(engine) == ["pending"]


async def test_enqueueing_is_for_the_given_alerts_not_quiet_ones_and_repeating_adds_nothing(
    engine: AsyncEngine,
) -> None:
    early = [await add_alert(engine, "acme", sequence) for sequence in (1, 2)]
    quiet = await add_alert(engine, "acme", 3, quiet=True)
    for n in range(3):
        await add_endpoint(engine, f"https://{n}.example/")
    async with engine.begin() as conn:
        assert await routing.enqueue(conn, [], NOW) == 0
        assert await routing.enqueue(conn, [early[0], quiet], NOW) == 3
        assert await routing.enqueue(conn, [early[0], quiet], NOW) == 0
        assert await routing.enqueue(conn, early, NOW) == 3


async def test_more_alerts_than_a_statement_has_parameters(engine: AsyncEngine) -> None:
    async with engine.begin() as conn:
        assert await routing.enqueue(conn, [new_id() for _ in range(40_000)], NOW) == 0


async def test_an_endpoint_deleted_meanwhile_does_not_fail_the_transaction_of_the_alert(engine: AsyncEngine) -> None:
    gone = await add_endpoint(engine, "https://gone.example/")
    alert_id = await add_alert(engine, "acme")
    await add_endpoint(engine, "https://stays.example/")
    async with engine.connect() as deleting, engine.begin() as conn:
        await endpoints.remove(deleting, gone)
        enqueueing = asyncio.create_task(routing.enqueue(conn, [alert_id], NOW))
        await asyncio.sleep(0.2)
        await deleting.commit()
        assert await enqueueing == 1


async def test_two_that_claim_at_once_share_and_do_not_wait(engine: AsyncEngine) -> None:
    await add_endpoint(engine, "https://crm.example/")
    for n in range(6):
        await add_alert(engine, f"account-{n}")
    async with engine.begin() as one, engine.begin() as two:
        first = await claim(one, 4)
        second = await asyncio.wait_for(claim(two, 4), 2)
    assert (len(first), len(second)) == (4, 2)
    assert not {each.id for each in first} & {each.id for each in second}


async def test_claiming_is_fair_and_keeps_to_the_room_there_is(engine: AsyncEngine) -> None:
    busy, idle = [await add_endpoint(engine, f"https://{name}.example/", bands=[name]) for name in ("busy", "idle")]
    for n in range(10):
        await add_alert(engine, f"account-{n}", data={"band": "busy"})
    for n in range(3):
        await add_alert(engine, f"late-{n}", data={"band": "idle"})
    async with engine.connect() as conn:
        claimed = [each.endpoint_id for each in await claim(conn, 4)]
        assert (claimed.count(busy), claimed.count(idle)) == (2, 2)
        await conn.rollback()
        claimed = [each.endpoint_id for each in await claim(conn, room={busy: 0, idle: 2})]
        assert (claimed.count(busy), claimed.count(idle)) == (0, 2)


async def test_a_lease_hides_a_delivery_until_it_lapses_or_is_released(engine: AsyncEngine) -> None:
    await add_endpoint(engine, "https://crm.example/")
    await add_alert(engine, "acme")
    async with engine.begin() as conn:
        first = await claim(conn)
        assert await claim(conn, seconds_on=60) == []
        [second] = await claim(conn, seconds_on=62)
        assert await outbox.release(conn, first) == 0
        assert await outbox.release(conn, [second]) == 1
        assert len(await claim(conn)) == 1


async def test_only_the_holder_of_the_lease_records(engine: AsyncEngine) -> None:
    endpoint = await add_endpoint(engine, "https://crm.example/")
    await add_alert(engine, "acme")
    async with engine.begin() as conn:
        [stale] = await claim(conn)
        [held] = await claim(conn, seconds_on=62)
        assert not await record(conn, stale, attempt(500), "failed", NOW, NOW)
        later = NOW + timedelta(hours=1)
        assert await record(conn, held, attempt(500), "pending", later, NOW)
        assert not await record(conn, held, attempt(), "succeeded", NOW, NOW)
        assert await claim(conn) == []
        [again] = await claim(conn, seconds_on=3601)
        assert again.attempt == 2
        assert await record(conn, again, attempt(), "succeeded", later, later)
        assert await claim(conn, seconds_on=10**6) == []
        [delivery] = await delivery_log.page(conn, endpoint, before=None, limit=5)
        assert (delivery.state, delivery.attempts, delivery.finished_at) == ("succeeded", 2, later)
        assert [made.status for made in await delivery_log.attempts(conn, delivery.id, limit=5)] == [200, 500]
        assert [made.status for made in await delivery_log.attempts(conn, delivery.id, before=2, limit=5)] == [500]


async def test_results_are_written_together_and_of_those_whose_lease_is_lost_nothing(engine: AsyncEngine) -> None:
    down, _ = [await add_endpoint(engine, f"https://{name}.example/", bands=[name]) for name in ("down", "well")]
    for n in range(3):
        await add_alert(engine, f"a-{n}", data={"band": "down"})
        await add_alert(engine, f"b-{n}", data={"band": "well"})
    async with engine.begin() as conn:
        claimed = await claim(conn)
        await outbox.release(conn, claimed[:1])
        some = [
            AttemptResult(
                delivery=each,
                attempt=attempt(500 if each.endpoint_id == down else 200),
                state="failed" if each.endpoint_id == down else "succeeded",
                due_at=NOW,
            )
            for each in claimed
        ]
        assert await delivery_results.record(conn, some, NOW) == {each.id for each in claimed[1:]}
        for each in claimed[1:]:
            [made] = await delivery_log.attempts(conn, each.id, limit=5)
            assert (made.number, made.response) == (1, "ok")
        assert await delivery_log.attempts(conn, claimed[0].id, limit=5) == []


async def test_an_ordered_endpoint_waits_for_the_earlier_alert_even_if_it_is_not_due(engine: AsyncEngine) -> None:
    await add_endpoint(engine, "https://crm.example/", ordered=True)
    first = await add_alert(engine, "acme", 1)
    second = await add_alert(engine, "acme", 2)
    other = await add_alert(engine, "beta", 7)
    async with engine.begin() as conn:
        claimed = {each.alert_id: each for each in await claim(conn)}
        assert claimed.keys() == {first, other}
        later = NOW + timedelta(hours=1)
        await record(conn, claimed[other], attempt(), "succeeded", NOW, NOW)
        await record(conn, claimed[first], attempt(500), "pending", later, NOW)
        assert await claim(conn) == []
        postponed = select(table.c.due_at).where(table.c.alert_id == second)
        assert (await conn.execute(postponed)).scalar_one() == later
        [retried] = await claim(conn, seconds_on=3601)
        assert retried.alert_id == first
        await record(conn, retried, attempt(410), "failed", later, later)
        assert [each.alert_id for each in await claim(conn, seconds_on=3601)] == [second]


async def test_an_endpoint_that_is_not_ordered_waits_for_nothing(engine: AsyncEngine) -> None:
    await add_endpoint(engine, "https://crm.example/")
    first, second = [await add_alert(engine, "acme", sequence) for sequence in (1, 2)]
    async with engine.begin() as conn:
        claimed = {each.alert_id: each for each in await claim(conn)}
        assert claimed.keys() == {first, second}
        await record(conn, claimed[first], attempt(500), "pending", NOW + timedelta(hours=1), NOW)
        await outbox.release(conn, [claimed[second]])
        assert [each.alert_id for each in await claim(conn)] == [second]


async def test_pages_go_through_all_deliveries_newest_first(engine: AsyncEngine) -> None:
    endpoint = await add_endpoint(engine, "https://crm.example/")
    for n in range(7):
        await add_alert(engine, f"account-{n}")
    async with engine.begin() as conn:
        await conn.execute(table.update().values(created_at=NOW))  # ids decide among equal times
        seen: list[UUID] = []
        before: tuple[datetime, UUID] | None = None
        while page := await delivery_log.page(conn, endpoint, before=before, limit=3):
            seen += [delivery.id for delivery in page]
            before = (page[-1].created_at, page[-1].id)
        assert seen == sorted((await conn.execute(select(table.c.id))).scalars(), reverse=True)
        assert await delivery_log.page(conn, endpoint, before=None, limit=9, state="failed") == []
        assert (await delivery_log.get(conn, seen[0])) is not None
        assert (await delivery_log.get(conn, new_id())) is None


async def test_endpoints_are_created_changed_paged_and_removed(engine: AsyncEngine) -> None:
    ids = [await add_endpoint(engine, f"https://{n}.example/", bands=["red"]) for n in range(3)]
    await add_alert(engine, "acme")
    async with engine.begin() as conn:
        assert [each.id for each in await endpoints.page(conn, after=None, limit=2)] == ids[:2]
        assert [each.id for each in await endpoints.page(conn, after=ids[1], limit=2)] == ids[2:]
        later = NOW + timedelta(hours=1)
        changed = await endpoints.change(conn, ids[0], {"bands": None, "ordered": True}, later)
        assert changed == await endpoints.get(conn, ids[0])
        assert changed
        assert (changed.bands, changed.ordered, changed.enabled, changed.updated_at) == (None, True, True, later)
        assert changed.created_at < later
        assert await endpoints.change(conn, new_id(), {"enabled": False}, later) is None
        assert await endpoints.remove(conn, ids[0])
        assert not await endpoints.remove(conn, ids[0])
        assert await endpoints.get(conn, ids[0]) is None
    assert await states(engine) == ["pending"] * 2


async def test_secrets_do_not_show_when_rows_are_printed(engine: AsyncEngine) -> None:
    endpoint_id = await add_endpoint(engine, "https://crm.example/path-token", headers=b"sealed")
    await add_alert(engine, "acme")
    async with engine.begin() as conn:
        printed = repr(await endpoints.get(conn, endpoint_id)) + repr(await claim(conn))
    assert not any(told in printed for told in ("gAAAA", "sealed", "path-token"))

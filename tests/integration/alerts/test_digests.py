"""Backfills and published scorecards cause no storm: their alerts are summed up in one digest, correctly."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from scoring.state.events import Event
from service.runtime.settings import Settings
from tests.support.api import Api
from tests.support.service import query
from tests.support.sweeping import START, Clock, by_active_days, used
from tests.support.webhooks import add_endpoint, local_settings, receiver, until, working

pytestmark = pytest.mark.anyio

MINUTE = timedelta(minutes=1)
FIFTY = [f"account-{number:02}" for number in range(50)]
CONTRACT = {
    "account_id",
    "account_name",
    "rule",
    "state",
    "score",
    "previous_score",
    "band",
    "previous_band",
    "threshold",
    "drivers",
    "sequence",
    "url",
}


@pytest.fixture
async def clock(engine: AsyncEngine, database_settings: Settings) -> Clock:
    clock = Clock(engine, database_settings.model_copy(update={"public_url": "https://health.test/"}))
    await clock.publish(by_active_days(20), START)
    await clock.reevaluate(START)
    return clock


def use(account_id: str, days: int, until_: datetime) -> list[Event]:
    """Daily use, the last at `until_`."""
    return [used(account_id, until_ - timedelta(days=day)) for day in range(days)]


async def alerts(engine: AsyncEngine, where: str = "true") -> list[Any]:
    return list(await query(engine, f"SELECT * FROM alerts WHERE {where} ORDER BY created_at, id"))


async def told(engine: AsyncEngine) -> int:
    return len(await query(engine, "SELECT 1 FROM deliveries"))


async def crossing_backfill(clock: Clock, account_ids: list[str], now: datetime) -> None:
    """History of one day each, which leaves accounts at risk."""
    await clock.fold({each: use(each, 1, now) for each in account_ids}, now, backfill=set(account_ids))


async def test_a_backfill_is_summed_up_in_one_digest_when_it_pauses(clock: Clock, engine: AsyncEngine) -> None:
    await clock.add_rule("At risk", "score", direction="below", level=40.0)
    async with receiver() as crm:
        await add_endpoint(engine, crm.url, event_types=["health.digest"])
        await add_endpoint(engine, crm.url, event_types=["health.threshold.crossed"])
        await crossing_backfill(clock, FIFTY[:20], START)
        assert await clock.tell(START + MINUTE / 2) == 0
        await crossing_backfill(clock, FIFTY[20:], START + MINUTE / 2)
        assert await clock.tell(START + MINUTE * 1.4) == 0
        assert [(alert.quiet, alert.state) for alert in await alerts(engine)] == [(True, "firing")] * 50
        assert await told(engine) == 0

        assert await clock.tell(START + MINUTE * 1.5) == 1
        assert await clock.tell(START + MINUTE * 9) == 0
        assert await told(engine) == 1
        async with working(engine, local_settings()):
            await until(lambda: crm.bodies)
    (message,) = crm.messages()
    (digest_id,) = {alert.digest_id for alert in await alerts(engine, "state = 'firing'")}
    assert message["type"] == "health.digest"
    assert message["timestamp"] == "2026-03-02T12:01:30Z"
    data = message["data"]
    assert data.keys() == CONTRACT | {"digest"}
    assert {name for name in CONTRACT if data[name] is not None} == {"rule", "state", "drivers", "url"}
    assert (data["rule"], data["state"], data["drivers"]) == ("digest of a backfill", "digest", [])
    assert data["url"] == f"https://health.test/v1/alerts?digest={digest_id}"
    assert data["digest"] == {
        "id": str(digest_id),
        "cause": "backfill",
        "subject": "",
        "since": "2026-03-02T12:00:00Z",
        "rules": [{"rule": "At risk", "firing": 50, "resolved": 0}],
        "bands": [],
    }


async def test_a_later_backfill_has_a_digest_of_its_own(clock: Clock, engine: AsyncEngine) -> None:
    await clock.add_rule("At risk", "score", direction="below", level=40.0)
    await crossing_backfill(clock, FIFTY[:20], START)
    await clock.tell(START + MINUTE)
    await crossing_backfill(clock, FIFTY[20:], START + MINUTE * 2)
    await clock.tell(START + MINUTE * 3)
    first, second = [alert.data["digest"] for alert in await alerts(engine, "state = 'digest'")]
    assert first["id"] != second["id"]
    assert (first["rules"][0]["firing"], second["rules"][0]["firing"]) == (20, 30)
    by_digest = Counter(str(alert.digest_id) for alert in await alerts(engine, "state = 'firing'"))
    assert by_digest == {first["id"]: 20, second["id"]: 30}


async def test_a_backfill_without_crossings_sends_no_digest(clock: Clock, engine: AsyncEngine) -> None:
    await crossing_backfill(clock, FIFTY, START)
    assert await clock.tell(START + MINUTE * 2) == 0
    assert await alerts(engine) == await query(engine, "SELECT 1 FROM digests WHERE cause = 'backfill'") == []


async def test_a_scorecard_is_summed_up_in_one_digest_with_the_right_sums(clock: Clock, engine: AsyncEngine) -> None:
    """40 accounts fall from green to red by the new scorecard, 10 were red and stay; one crosses by its own events."""
    await clock.add_rule("At risk", "score", direction="below", level=40.0)
    await clock.add_rule("Not green", "band", to=["yellow", "red"])
    busy, quiet = FIFTY[:40], FIFTY[40:]
    await clock.fold(
        {each: use(each, 15, START) for each in busy} | {each: use(each, 5, START) for each in quiet}, START
    )
    assert Counter(alert.rule for alert in await alerts(engine)) == {"At risk": 10, "Not green": 10}
    await add_endpoint(engine, "https://crm.test/")

    begun = await clock.publish(by_active_days(60), START + MINUTE)
    await clock.fold({"newcomer": use("newcomer", 1, START)}, START + MINUTE)
    assert await clock.reevaluate(START + MINUTE) == 51
    (digest,) = [alert.data["digest"] for alert in await alerts(engine, "state = 'digest'")]
    assert (digest["cause"], digest["subject"]) == ("scorecard", "default version 3")
    assert digest["rules"] == [
        {"rule": "At risk", "firing": 40, "resolved": 0},
        {"rule": "Not green", "firing": 40, "resolved": 0},
    ]
    assert digest["bands"] == [
        {"band_before": "green", "band_after": "red", "accounts": 40},
        {"band_before": "red", "band_after": "red", "accounts": 10},
    ]
    summed_up = await alerts(engine, f"digest_id = '{UUID(digest['id'])}'")
    assert {alert.account_id for alert in summed_up} == set(busy)
    assert all(alert.quiet for alert in summed_up)
    stored = (await query(engine, "SELECT digest_id FROM reevaluations WHERE id = :id", id=begun))[0]
    assert str(stored.digest_id) == digest["id"]
    deliveries = await query(
        engine, "SELECT account_id, state FROM alerts WHERE id IN (SELECT alert_id FROM deliveries)"
    )
    assert Counter(deliveries) == {("newcomer", "firing"): 2, (None, "digest"): 1}


async def test_crossings_that_a_scorecard_makes_wait_are_in_one_digest_when_the_wait_is_over(
    clock: Clock, engine: AsyncEngine
) -> None:
    """Rules with a dwell fire long after the digest was sent; an account that falls by itself is reported by itself."""
    await clock.add_rule("At risk", "score", direction="below", level=40.0, for_seconds=3600)
    await clock.fold({each: use(each, 15, START) for each in FIFTY}, START)
    await add_endpoint(engine, "https://crm.test/")
    await clock.publish(by_active_days(60), START)
    await clock.reevaluate(START)
    assert [alert.state for alert in await alerts(engine)] == ["digest"]
    await clock.fold({"newcomer": use("newcomer", 1, START)}, START + MINUTE)

    assert await clock.sweep(START + MINUTE * 59) == 0
    assert await clock.sweep(START + MINUTE * 60) == 50
    assert [alert.quiet for alert in await alerts(engine, "state = 'firing'")] == [True] * 50
    assert await clock.sweep(START + MINUTE * 61) == 1
    (own,) = await alerts(engine, "state = 'firing' AND NOT quiet")
    assert (own.account_id, own.digest_id) == ("newcomer", None)
    assert await clock.tell(START + MINUTE * 61) == 1
    digest = (await alerts(engine, "state = 'digest'"))[-1].data["digest"]
    assert digest["cause"] == "dwell"
    assert digest["rules"] == [{"rule": "At risk", "firing": 50, "resolved": 0}]
    assert await told(engine) == 3

    await clock.fold(
        {
            each: [used(each, START - timedelta(days=day)) for day in (20, 21, 22, 23, 24, 25, 26, 27, 28)]
            for each in FIFTY[:1]
        },
        START + MINUTE * 62,
    )
    (resolved,) = await alerts(engine, "state = 'resolved'")
    assert (resolved.account_id, resolved.quiet) == (FIFTY[0], False)


async def test_crossings_that_a_backfill_makes_wait_are_in_one_digest_when_the_wait_is_over(
    clock: Clock, engine: AsyncEngine
) -> None:
    await clock.add_rule("At risk", "score", direction="below", level=40.0, for_seconds=3600)
    await crossing_backfill(clock, FIFTY, START)
    assert await clock.sweep(START + MINUTE * 60) == 50
    assert [alert.quiet for alert in await alerts(engine)] == [True] * 50
    assert await clock.tell(START + MINUTE * 61) == 1
    (digest,) = [alert.data["digest"] for alert in await alerts(engine, "state = 'digest'")]
    assert digest["cause"] == "dwell"


async def test_a_digest_is_among_the_deliveries(clock: Clock, engine: AsyncEngine, api: Api) -> None:
    endpoint = await add_endpoint(engine, "https://crm.test/")
    await add_endpoint(engine, "https://smb.test/", segments=["smb"])
    await clock.fold({"acme": use("acme", 15, START)}, START)
    await clock.publish(by_active_days(60), START)
    await clock.reevaluate(START)
    (delivery,) = (await api.get(f"/v1/webhook-endpoints/{endpoint}/deliveries")).items
    assert (delivery["type"], delivery["account_id"]) == ("health.digest", None)
    assert await told(engine) == 1


async def test_an_account_that_crosses_by_its_own_events_meanwhile_gets_an_alert(
    clock: Clock, engine: AsyncEngine
) -> None:
    """Once an account was switched, what its own events set off is its own, while others are still summed up."""
    await clock.add_rule("Recovered", "score", direction="above", level=60.0)
    await clock.fold({each: use(each, 5, START) for each in ("acme", "zeta")}, START)
    await clock.publish(by_active_days(10), START)
    later = START + MINUTE
    await clock.fold({"acme": use("acme", 5, START)}, later)
    assert await alerts(engine) == []
    await clock.fold({"acme": use("acme", 8, START)[5:]}, later)
    (own,) = await alerts(engine)
    assert (own.account_id, own.quiet, own.digest_id) == ("acme", False, None)
    await clock.reevaluate(later)
    (digest,) = [alert.data["digest"] for alert in await alerts(engine, "state = 'digest'")]
    assert digest["rules"] == []
    assert digest["bands"] == [{"band_before": "red", "band_after": "yellow", "accounts": 2}]


async def test_an_account_that_a_batch_switches_goes_into_the_digest(clock: Clock, engine: AsyncEngine) -> None:
    await clock.add_rule("At risk", "score", direction="below", level=40.0)
    await clock.fold({each: use(each, 15, START) for each in FIFTY}, START)
    await add_endpoint(engine, "https://crm.test/")
    await clock.publish(by_active_days(60), START + MINUTE)
    await clock.fold({each: [used(each, START)] for each in FIFTY[:30]}, START + MINUTE)
    assert [alert.quiet for alert in await alerts(engine)] == [True] * 30
    assert await told(engine) == 0
    await clock.reevaluate(START + MINUTE)
    (digest,) = [alert.data["digest"] for alert in await alerts(engine, "state = 'digest'")]
    assert digest["rules"] == [{"rule": "At risk", "firing": 50, "resolved": 0}]
    assert digest["bands"] == [{"band_before": "green", "band_after": "red", "accounts": 50}]
    assert await told(engine) == 1


async def test_a_batch_under_way_is_in_the_digest_that_is_sent(clock: Clock, engine: AsyncEngine) -> None:
    """The digest isn't sent while a transaction may still add an alert to it."""
    await clock.add_rule("At risk", "score", direction="below", level=40.0)
    await clock.publish(by_active_days(60), START)
    async with engine.connect() as batch:
        await clock.policies.in_force(batch)
        telling = asyncio.create_task(clock.reevaluate(START))
        await asyncio.sleep(0.3)
        assert not telling.done()
        await batch.commit()
        await asyncio.wait_for(telling, 5)
    closed = await query(engine, "SELECT closed_at FROM digests WHERE subject = 'default version 3'")
    assert [row.closed_at for row in closed] == [datetime(2026, 3, 2, 12, tzinfo=UTC)]

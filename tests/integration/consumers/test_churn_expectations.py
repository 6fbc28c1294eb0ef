"""Expected churn is kept as renewals come and compared with what leaves, over months that a moved clock simulates."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from math import isnan
from typing import Any

import pytest
from prometheus_client import REGISTRY
from sqlalchemy.ext.asyncio import AsyncEngine

from consumers.sweep import churn_expectations
from consumers.sweep.churn_expectations import keep_once
from scoring.backtest.attribute_outcomes import SAME_END_DAYS
from scoring.backtest.calibration_drift import ExpectedChurn
from scoring.state.events import Event
from service.evaluation.erase_account import erase
from service.runtime.settings import Settings
from service.storage.accounts.churn_expectations import ChurnOfMonth
from tests.support.service import query
from tests.support.sweeping import Clock, by_active_days, described, used
from tests.unit.scoring.test_scorecard_documents import CALIBRATION

pytestmark = pytest.mark.anyio

LEAD = 3
RENEWALS = {**CALIBRATION, "lead_days": LEAD, "probabilities": [[0, 0.3], [100, 0.1]]}
MONTHS = {**RENEWALS, "horizon_days": 90}
BEGIN = date(2026, 2, 20)
DAY = timedelta(days=1)


def at(day: date, hour: int = 12) -> datetime:
    return datetime(day.year, day.month, day.day, hour, tzinfo=UTC)


@pytest.fixture
async def clock(engine: AsyncEngine, database_settings: Settings) -> Clock:
    clock = Clock(engine, database_settings)
    await publish(clock, RENEWALS, BEGIN)
    return clock


async def publish(clock: Clock, calibration: dict[str, Any], day: date) -> None:
    await clock.publish(by_active_days(10, calibration=calibration), at(day))
    await clock.reevaluate(at(day))


async def live(clock: Clock, first: date, last: date, events: dict[date, dict[str, list[Event]]] | None = None) -> None:
    """Let days pass: the sweep after midnight, events at noon, and the comparison after each."""
    day = first
    while day <= last:
        await clock.sweep(at(day, 0))
        await keep_once(clock.engine, day)
        if some := (events or {}).get(day):
            await clock.fold(some, at(day))
        await keep_once(clock.engine, day)
        day += DAY


async def rows(engine: AsyncEngine, columns: str = "*") -> Sequence[Any]:
    return await query(engine, f"SELECT {columns} FROM churn_expectations ORDER BY account_id, outcome_on")


def gauge(name: str, scorecard: str = "default") -> float | None:
    return REGISTRY.get_sample_value(f"health_calibration_{name}", {"scorecard": scorecard})


class Year:
    """Sixty accounts; every third renews each month from March to May. Some are used until their decision."""

    def __init__(self, leaving: dict[int, int]) -> None:
        """`leaving` has how many leave in each month, by its number."""
        self.events: dict[date, dict[str, list[Event]]] = defaultdict(lambda: defaultdict(list))
        for number in range(60):
            name, month = f"account-{number:02}", 3 + number % 3
            renewal = date(2026, month, 1 + number // 3)
            self.add(name, BEGIN, started_on="2025-03-01", renews_on=str(renewal))
            self.events[BEGIN][name].append(used(name, at(BEGIN)))
            for ago in range(number % 4):
                day = renewal - (LEAD + ago) * DAY
                self.events[day][name].append(used(name, at(day)))
            if number // 3 < leaving[month]:
                left = renewal + timedelta(days=number % (SAME_END_DAYS + 1))
                self.add(name, max(left, renewal + 5 * DAY), churned_on=str(left))
            else:
                self.add(name, renewal, renews_on=str(renewal.replace(year=2027)))

    def add(self, name: str, day: date, **values: Any) -> None:
        self.events[day][name].append(described(name, at(day), **values))


async def probability_at(engine: AsyncEngine, account_id: str, day: date) -> float:
    """The probability of an account at the end of a day, as analysts see it."""
    found = await query(
        engine,
        "SELECT churn_probability FROM analytics.account_health_daily WHERE account_id = :account AND day = :day",
        account=account_id,
        day=day,
    )
    return float(found[0][0])


async def test_months_of_renewals_are_compared_with_what_left(clock: Clock, engine: AsyncEngine) -> None:
    year = Year({3: 4, 4: 5, 5: 4})
    await live(clock, BEGIN, date(2026, 6, 15), year.events)
    stored = await rows(engine)
    assert len(stored) == 60
    for row in stored:
        assert (row.decided_on, row.first_day) == (row.outcome_on - LEAD * DAY, row.outcome_on - 2 * DAY)
        assert (row.last_day, row.settled) == (row.outcome_on + SAME_END_DAYS * DAY, True)
        assert row.probability == await probability_at(engine, row.account_id, row.decided_on)
    assert len({row.probability for row in stored}) >= 4
    by_month = [[row.probability for row in stored if row.outcome_on.month == month] for month in (3, 4, 5)]
    assert gauge("expected_churn") == pytest.approx(sum(by_month[2]))
    assert gauge("observed_churn") == 4
    every = [each for month in by_month for each in month]
    spread = sum(each * (1 - each) for each in every) ** 0.5
    assert gauge("drift") == pytest.approx((13 - sum(every)) / spread)
    assert abs(gauge("drift") or 9) < 1


async def test_where_far_more_leave_than_expected_it_drifts_until_it_is_calibrated_again(
    clock: Clock, engine: AsyncEngine
) -> None:
    year = Year({3: 9, 4: 14, 5: 15})
    await live(clock, BEGIN, date(2026, 5, 14), year.events)
    assert gauge("observed_churn") == 9
    await live(clock, date(2026, 5, 15), date(2026, 6, 15), year.events)
    assert gauge("observed_churn") == 15
    assert (gauge("drift") or 0) > 5
    await publish(clock, {**RENEWALS, "probabilities": [[0, 0.9], [100, 0.1]]}, date(2026, 6, 15))
    await keep_once(engine, date(2026, 6, 15))
    assert (gauge("expected_churn"), gauge("observed_churn")) == (0, 0)
    assert isnan(gauge("drift") or 0)


async def test_a_month_is_shown_when_its_last_renewal_is_decided(clock: Clock, engine: AsyncEngine) -> None:
    year = Year({3: 4, 4: 5, 5: 4})
    await live(clock, BEGIN, date(2026, 4, 14), year.events)
    assert (gauge("expected_churn"), gauge("observed_churn")) == (0, 0)
    await keep_once(engine, date(2026, 4, 15))
    assert gauge("observed_churn") == 4


async def test_it_may_be_done_again_and_days_that_were_missed_are_caught_up(clock: Clock, engine: AsyncEngine) -> None:
    """Without a sweeper from the decision on, the closing score of its day is in history."""
    renewal = date(2026, 3, 10)
    await clock.fold({"acme": [described("acme", at(BEGIN), renews_on=str(renewal))]}, at(BEGIN))
    decision = renewal - LEAD * DAY
    for ago in range(2):
        await clock.fold({"acme": [used("acme", at(decision - ago * DAY))]}, at(decision - ago * DAY))
    for later in range(1, 5):
        await clock.fold({"acme": [used("acme", at(decision + later * DAY))]}, at(decision + later * DAY))
    for _ in range(3):
        await keep_once(engine, decision + 5 * DAY)
    (row,) = await rows(engine)
    assert (row.outcome_on, row.probability) == (renewal, await probability_at(engine, "acme", decision))
    assert row.probability == pytest.approx(0.3 - 0.2 * 0.2)
    await query(engine, "DELETE FROM churn_expectations RETURNING 1")
    await keep_once(engine, decision + 8 * DAY)
    assert list(await rows(engine)) == []


async def test_what_has_left_before_is_not_expected(clock: Clock, engine: AsyncEngine) -> None:
    renewal = date(2026, 3, 10)
    gone = described("gone", at(BEGIN), renews_on=str(renewal), churned_on="2026-03-01")
    told_late = described("late", at(BEGIN), renews_on=str(renewal))
    year = {
        BEGIN: {"gone": [gone, used("gone", at(BEGIN))], "late": [told_late, used("late", at(BEGIN))]},
        date(2026, 3, 20): {"late": [described("late", at(date(2026, 3, 20)), churned_on="2026-03-05")]},
    }
    await live(clock, BEGIN, date(2026, 3, 21), year)
    assert [(row.account_id, row.probability is None) for row in await rows(engine)] == [("late", False)]
    await keep_once(engine, date(2026, 4, 15))
    assert (gauge("expected_churn"), gauge("observed_churn")) == (0, 0)
    assert isnan(gauge("drift") or 0)


async def test_a_renewal_that_is_moved_a_little_is_the_same_one(clock: Clock, engine: AsyncEngine) -> None:
    renewal, moved, next_year = date(2026, 3, 10), date(2026, 3, 20), date(2027, 3, 10)
    events = {
        BEGIN: {"acme": [described("acme", at(BEGIN), renews_on=str(renewal))]},
        date(2026, 3, 8): {"acme": [described("acme", at(date(2026, 3, 8)), renews_on=str(moved))]},
        moved: {"acme": [described("acme", at(moved), renews_on=str(next_year))]},
    }
    await live(clock, BEGIN, date(2026, 3, 25), events)
    assert [row.outcome_on for row in await rows(engine)] == [renewal]


async def test_with_a_horizon_all_accounts_are_expected_month_by_month(clock: Clock, engine: AsyncEngine) -> None:
    await publish(clock, MONTHS, BEGIN)
    events: dict[date, dict[str, list[Event]]] = defaultdict(dict)
    for number in range(60):
        name = f"account-{number:02}"
        events[BEGIN][name] = [used(name, at(BEGIN))]
        if number < 12:
            left = date(2026, 4, 1 + number)
            events[left][name] = [described(name, at(left), churned_on=str(left))]
    await live(clock, BEGIN, date(2026, 5, 15), events)
    stored = [row for row in await rows(engine) if row.settled]
    assert {(row.outcome_on, row.decided_on, row.first_day, row.last_day) for row in stored} == {
        (date(2026, 3, 1), date(2026, 2, 26), date(2026, 3, 1), date(2026, 3, 31)),
        (date(2026, 4, 1), date(2026, 3, 29), date(2026, 4, 1), date(2026, 4, 30)),
        (date(2026, 5, 1), date(2026, 4, 28), date(2026, 5, 1), date(2026, 5, 31)),
    }
    assert [len([row for row in stored if row.outcome_on.month == month]) for month in (3, 4, 5)] == [60, 60, 48]
    for row in stored:
        whole = await probability_at(engine, row.account_id, row.decided_on)
        days = (row.last_day - row.first_day).days + 1
        assert row.probability == pytest.approx(1 - (1 - whole) ** (days / 90))
    april = [row.probability for row in stored if row.outcome_on.month == 4]
    assert gauge("expected_churn") == pytest.approx(sum(april))
    assert gauge("observed_churn") == 12


@pytest.mark.parametrize(
    ("other", "probable"),
    [(MONTHS, False), ({**RENEWALS, "lead_days": 5}, False), ({**RENEWALS, "churned": 75}, True)],
    ids=["another outcome", "another lead", "the same kind"],
)
async def test_a_calibration_of_another_kind_gives_no_probability_to_what_was_noted(
    clock: Clock, engine: AsyncEngine, other: dict[str, Any], probable: bool
) -> None:
    renewal = date(2026, 3, 10)
    events = [described("acme", at(BEGIN), renews_on=str(renewal)), used("acme", at(BEGIN))]
    await clock.fold({"acme": events}, at(BEGIN))
    decision = renewal - LEAD * DAY
    await live(clock, decision, decision)
    await publish(clock, other, decision)
    await live(clock, decision + DAY, decision + DAY)
    ((settled, probability),) = await rows(engine, "settled, probability")
    assert (settled, probability is not None) == (True, probable)


async def test_months_that_are_no_longer_compared_are_forgotten(clock: Clock, engine: AsyncEngine) -> None:
    await live(clock, BEGIN, date(2026, 3, 25), Year({3: 4, 4: 5, 5: 4}).events)
    assert len(await rows(engine)) == 20
    await keep_once(engine, date(2026, 7, 14))
    assert len(await rows(engine)) == 20
    await keep_once(engine, date(2026, 7, 15))
    assert list(await rows(engine)) == []


async def test_an_account_that_is_being_erased_is_not_noted(clock: Clock, engine: AsyncEngine) -> None:
    renewal = date(2026, 3, 10)
    accounts = {name: [described(name, at(BEGIN), renews_on=str(renewal))] for name in ("gone", "kept")}
    await clock.fold(accounts, at(BEGIN))
    async with engine.begin() as connection:
        assert await erase(connection, "gone", at(BEGIN))
        await keep_once(engine, renewal - LEAD * DAY)
    assert [row.account_id for row in await rows(engine)] == ["kept"]
    async with engine.begin() as connection:
        assert await erase(connection, "kept", at(BEGIN))
    assert list(await rows(engine)) == []


async def test_the_scorecards_with_the_fewest_outcomes_share_a_label(
    clock: Clock, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(churn_expectations, "MOST_SCORECARDS", 2)
    month = date(2026, 5, 1)
    found = [
        ChurnOfMonth(name, month, ExpectedChurn(accounts, accounts / 10, accounts * 0.09, 1))
        for name, accounts in (("default", 100), ("smb", 50), ("mid", 30), ("enterprise", 40))
    ]
    churn_expectations.show(["default", "enterprise", "mid", "new", "smb"], found, month)
    assert [gauge("expected_churn", name) for name in ("default", "smb", "other")] == [10, 5, 7]
    assert gauge("drift", "other") == pytest.approx((2 - 7) / (70 * 0.09) ** 0.5)
    assert [gauge("drift", name) for name in ("mid", "enterprise", "new")] == [None] * 3


async def test_more_accounts_than_a_batch_has_are_all_noted_by_several_sweepers(
    clock: Clock, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(churn_expectations, "BATCH", 3)
    renewal = date(2026, 3, 10)
    names = [f"account-{number}" for number in range(8)]
    await clock.fold({name: [described(name, at(BEGIN), renews_on=str(renewal))] for name in names}, at(BEGIN))
    await clock.sweep(at(renewal))
    await asyncio.gather(*(keep_once(engine, renewal) for _ in range(3)))
    await keep_once(engine, renewal)
    assert [(row.account_id, row.settled) for row in await rows(engine)] == [(name, True) for name in names]

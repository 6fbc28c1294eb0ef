"""The past of accounts: quiet, within its bounds, beside live days, and not of accounts that were erased meanwhile."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from scoring.scorecards.document import ScorecardDocument
from service.evaluation.erase_account import erase
from service.jobs.history import writer
from service.jobs.history.load_history import replay_plan, write_plan
from service.jobs.load.terminal import StoppedError
from service.runtime.settings import Settings
from service.storage.accounts import history_partitions
from service.storage.accounts.history_partitions import Month
from tests.support.api import Api
from tests.support.cloud_events import cloud_event, usage
from tests.support.commands import command, environment
from tests.support.loading import DAYS, Past, log_up_to
from tests.support.service import query
from tests.support.sweeping import Clock, by_active_days, described, used

pytestmark = pytest.mark.anyio
ACCOUNTS = [f"acme-{number}" for number in range(6)]
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def today() -> date:
    return datetime.now(UTC).date()


@pytest.fixture
async def clock(engine: AsyncEngine, database_settings: Settings) -> Clock:
    """A service by whose scorecard an account scores what it was used, on 30 days."""
    clock = Clock(engine, database_settings)
    await clock.publish(by_active_days(10), LONG_AGO)
    await clock.reevaluate(LONG_AGO)
    return clock


@pytest.fixture
async def past(clock: Clock, today: date, tmp_path: Path) -> Past:
    """A log that was just folded."""
    past = Past(clock, tmp_path, log_up_to(today, ACCOUNTS))
    await past.fold()
    return past


def at(day: date, hour: int = 12) -> datetime:
    return datetime.combine(day, time(hour), UTC)


def used_on(account_id: str, days: Sequence[date]) -> list[dict[str, Any]]:
    return [usage(account_id, time=at(day).isoformat()) for day in days]


async def everything_else(engine: AsyncEngine) -> list[Any]:
    """All that a replay leaves as it is."""
    tables = ("scores", "listed_accounts", "accounts", "usage_states", "alerts", "deliveries", "digests", "progress")
    return [await query(engine, f"SELECT t::text FROM {table} t ORDER BY 1") for table in tables]


async def stored(engine: AsyncEngine, account_id: str = "", *, replayed: bool = True) -> list[Any]:
    statement = """
        SELECT account_id, day, since, score, readings::text, journal FROM history
        WHERE replayed = :replayed AND :id IN ('', account_id) ORDER BY account_id, day
    """
    return [tuple(row) for row in await query(engine, statement, replayed=replayed, id=account_id)]


async def test_it_is_quiet_and_the_same_however_often_it_is_written(past: Past, engine: AsyncEngine) -> None:
    await past.clock.add_rule("Low", "score", direction="below", level=90.0, clear_level=95.0)
    await past.clock.add_rule("Red", "band", to=["red"])
    await past.fold(datetime.now(UTC))
    before = await everything_else(engine)
    assert before[4], "the rules fire"
    plan = await past.plan()
    written = await past.write(plan)
    first = await stored(engine)
    assert (written.accounts, written.rows, written.gone) == (len(ACCOUNTS), len(first), 0)
    again = await past.plan()
    assert (dict(again.wanted), again.replayed_before) == ({}, len(ACCOUNTS))
    await past.write(plan)
    assert await stored(engine) == first
    assert await everything_else(engine) == before


async def test_the_whole_service_has_the_past(
    past: Past, engine: AsyncEngine, api: Api, today: date, tmp_path: Path
) -> None:
    """Trend, past days, history, explanations, views and exports; before it, a 404 that names its first day."""
    await past.write()
    daily = await asyncio.to_thread(
        _exported, past.clock.settings, tmp_path / "daily.parquet", today - timedelta(days=DAYS)
    )
    moved = 0
    for account in ACCOUNTS:
        path = f"/v1/accounts/{account}/health"
        items = (await api.get(f"{path}/history?from={today - timedelta(days=DAYS)}")).items
        days = {item["day"]: item for item in items}
        first = date.fromisoformat(items[0]["day"])
        assert list(days) == [str(first + timedelta(days=number)) for number in range((today - first).days + 1)]
        health = (await api.get(path)).json
        for back, trend in ((7, "d7"), (30, "d30")):
            then = days[str(today - timedelta(days=back))]
            assert (await api.get(f"{path}?day={then['day']}")).json["score"] == then["score"]
            assert health["trend"][trend] == pytest.approx(health["score"] - then["score"])
        why = (await api.get(f"{path}/explain?from={first}&to={today - timedelta(days=1)}")).json
        assert {cause["cause"] for cause in why["causes"]} <= {"events", "time"}
        last = days[str(today - timedelta(days=1))]
        assert why["change"] == pytest.approx((last["score"] or 0) - (items[0]["score"] or 0))
        rows = await query(
            engine, "SELECT day, score FROM analytics.account_health_daily WHERE account_id = :id", id=account
        )
        assert {str(row.day): row.score for row in rows} == {day: item["score"] for day, item in days.items()}
        assert daily[account] == {day: item["score"] for day, item in days.items()}
        (ago,) = await query(
            engine,
            "SELECT score_7d_ago, score_30d_ago FROM analytics.account_health WHERE account_id = :id",
            id=account,
        )
        assert tuple(ago) == tuple(days[str(today - timedelta(days=back))]["score"] for back in (7, 30))
        moved += len({item["score"] for item in items})
        early = first - timedelta(days=1)
        for asked in (f"{path}?day={early}", f"{path}/explain?from={early}"):
            answer = await api.get(asked)
            assert (answer.status, answer.json["detail"]) == (404, f"This account's history begins on {first}.")
    assert moved > 20
    counts = await query(engine, "SELECT day, sum(accounts) AS accounts FROM analytics.portfolio_daily GROUP BY day")
    assert {row.day: row.accounts for row in counts}[today - timedelta(days=7)] == len(ACCOUNTS)


def _exported(settings: Settings, file: Path, first: date) -> dict[str, dict[str, float]]:
    words = ["export", "daily", "--from", str(first), "--output", str(file)]
    command(*words, env=environment(settings))
    found: dict[str, dict[str, float]] = {}
    for row in pq.read_table(file).to_pylist():
        found.setdefault(row["account_id"], {})[str(row["day"])] = row["score"]
    return found


async def test_on_the_first_live_day_nothing_is_blamed_on_the_load(
    clock: Clock, api: Api, today: date, tmp_path: Path
) -> None:
    """The journal of that day began at nothing, and would give the whole score as the work of its events."""
    past = Past(clock, tmp_path, used_on("acme", [today - timedelta(days=back) for back in (36, 35, 33, 30, 12)]))
    await past.fold()
    await past.write()
    why = (await api.get(f"/v1/accounts/acme/health/explain?from={today - timedelta(days=1)}")).json
    (cause,) = why["causes"]
    assert (cause["cause"], cause["delta"], why["change"]) == ("unrecorded", -10.0, -10.0)
    assert cause["notes"] == ["live history begins here; the days before were replayed"]
    (item,) = (await api.get(f"/v1/accounts/acme/health/history?from={today}")).items
    assert [(each["cause"], each["delta"]) for each in item["changes"]] == [("unrecorded", -10.0)]


async def test_live_days_are_not_touched_and_the_days_before_follow_without_a_gap(
    clock: Clock, engine: AsyncEngine, api: Api, today: date, tmp_path: Path
) -> None:
    began = today - timedelta(days=20)
    live = {today - timedelta(days=back) for back in (20, 18, 11, 3)}
    for day in sorted(began + timedelta(days=number) for number in range(21)):
        await clock.sweep(at(day, 0))
        if day in live:
            await clock.fold({"acme": [used("acme", at(day))]}, at(day))
    past = Past(clock, tmp_path, used_on("acme", [today - timedelta(days=back) for back in (50, 40, 25, 21, 20, 2)]))
    await past.fold()
    before = await stored(engine, replayed=False)
    now = await everything_else(engine)
    await past.write()
    assert await stored(engine, replayed=False) == before
    assert await everything_else(engine) == now
    items = (await api.get(f"/v1/accounts/acme/health/history?from={today - timedelta(days=60)}")).items
    assert [item["day"] for item in items] == [str(today - timedelta(days=back)) for back in range(50, -1, -1)]
    scores = {item["day"]: item["score"] for item in items}
    assert scores[str(began - timedelta(days=1))] == 40, "used on four of 30 days"
    assert scores[str(began)] == 10, "the service knew of one day then"


async def test_drop_rules_look_back_at_it(clock: Clock, engine: AsyncEngine, today: date, tmp_path: Path) -> None:
    """Both a rule that the account remembers already, and one that is new; at the next evaluation, not before."""
    await clock.add_rule("Fell", "drop", points=30, days=14)
    busy = [today - timedelta(days=back) for back in range(39, 29, -1)]
    past = Past(clock, tmp_path, used_on("acme", busy))
    await past.fold()
    await past.write()
    assert await query(engine, "SELECT 1 FROM alerts") == []
    change = await clock.add_rule("Fell too", "drop", points=30, days=14)
    assert change is not None
    clock.policies.forget()
    await clock.sweep(at(today + timedelta(days=1), 0))
    alerts = await query(engine, "SELECT rule, data->>'previous_score' AS before FROM alerts ORDER BY rule")
    assert [row.rule for row in alerts] == ["Fell", "Fell too"]


async def test_an_account_that_is_erased_meanwhile_stays_erased(past: Past, engine: AsyncEngine) -> None:
    plan = await past.plan()
    files = await asyncio.to_thread(replay_plan, plan)
    now = datetime.now(UTC)
    async with engine.begin() as connection:
        assert await erase(connection, ACCOUNTS[0], now)
        assert await erase(connection, ACCOUNTS[1], now)
    await past.clock.fold({ACCOUNTS[1]: [used(ACCOUNTS[1], now)]}, now)  # which begins again
    written = await write_plan(plan, files, past.clock.settings, asyncio.Event())
    assert (written.accounts, written.gone) == (len(ACCOUNTS) - 2, 2)
    assert {row[0] for row in await stored(engine)} == set(ACCOUNTS[2:])
    rows = await query(engine, "SELECT account_id FROM scores ORDER BY 1")
    assert [row.account_id for row in rows] == ACCOUNTS[1:]


async def test_stopped_in_the_middle_it_goes_on_with_the_same_rows(
    past: Past, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "MOST_ROWS", 1)  # an account in each transaction
    plan = await past.plan()
    files = await asyncio.to_thread(replay_plan, plan)
    stop = asyncio.Event()
    written_by = writer.HistoryWriter._write

    async def write_and_stop(self: writer.HistoryWriter, batch: Any) -> None:
        await written_by(self, batch)
        if self.written.accounts == 2:
            stop.set()

    monkeypatch.setattr(writer.HistoryWriter, "_write", write_and_stop)
    with pytest.raises(StoppedError, match="Run the same command again to go on"):
        await write_plan(plan, files, past.clock.settings, stop)
    some = await stored(engine)
    assert 0 < len({row[0] for row in some}) < len(ACCOUNTS)
    rest = await past.plan()
    assert len(rest.wanted) + len({row[0] for row in some}) == len(ACCOUNTS)
    await past.write(rest)
    whole = await stored(engine)
    await query(engine, "DELETE FROM history RETURNING 1")
    await past.write(await past.plan())
    assert await stored(engine) == whole
    assert set(some) < set(whole)


async def test_its_days_lie_in_months_of_their_own_and_within_retention(
    clock: Clock, engine: AsyncEngine, today: date, tmp_path: Path
) -> None:
    """Events beyond retention count in their own time; their days aren't kept. No sweeper has made a month yet."""
    old = [today - timedelta(days=back) for back in (700, 699, 650, 300, 100)]
    past = Past(clock, tmp_path, [*used_on("acme", old), *used_on("ancient", old[:2])])
    await past.fold()
    written = await past.write()
    assert (written.accounts, written.gone) == (2, 0)
    first = today - timedelta(days=clock.settings.history_retention_days - 1)
    for account in ("acme", "ancient"):
        days = [(row[2], row[1]) for row in await stored(engine, account)]
        assert days[0][0] <= first <= days[0][1]
        assert days[-1][1] == today - timedelta(days=1)
    scores = {row[1]: row[3] for row in await stored(engine, "acme")}
    assert 10 in scores.values()
    assert await query(engine, "SELECT 1 FROM history_default LIMIT 1") == []
    async with engine.connect() as connection:
        months = await history_partitions.months(connection)
    assert {Month.of(row[1]) for row in await stored(engine)} <= set(months)


async def test_attributes_count_from_the_day_of_their_event_and_only_the_start_is_taken_from_elsewhere(
    clock: Clock, engine: AsyncEngine, today: date, tmp_path: Path
) -> None:
    """Facts of today, such as that the account left, would tell the past what came later."""
    tenure = {"measure": "tenure_days", "weight": 1, "curve": [[0, 0], [100, 100]]}
    document = by_active_days(10, "left", applies_to={"stages": ["left"]})
    await clock.publish(document, LONG_AGO)
    await clock.publish(_with_measures(by_active_days(10), [tenure]), LONG_AGO)
    days = [today - timedelta(days=back) for back in (40, 20, 5)]
    starts = str(today - timedelta(days=90))
    events = [
        *used_on("told", days),
        cloud_event("account", "told", {"stage": "left", "started_on": starts}, time=at(days[1]).isoformat()),
        *used_on("untold", days),
    ]
    past = Past(clock, tmp_path, events)
    await past.fold()
    now = datetime.now(UTC)
    values = {"stage": "left", "started_on": starts, "churned_on": str(today - timedelta(days=1))}
    await clock.fold({"untold": [described("untold", now, **values)]}, now)
    await past.write()
    cards = await query(engine, "SELECT account_id, day, since, scorecard, score FROM history WHERE replayed")
    told = {row.scorecard for row in cards if row.account_id == "told" and row.day < days[1]}
    assert told == {"default"}
    assert {row.scorecard for row in cards if row.account_id == "told" and row.since > days[1]} == {"left"}
    assert {row.score for row in cards if row.account_id == "told" and row.scorecard == "default"} == {None}
    untold = {row.day: row for row in cards if row.account_id == "untold"}
    assert {row.scorecard for row in untold.values()} == {"default"}
    assert untold[today - timedelta(days=1)].score == 89, "started 90 days ago, as the service knows"


def _with_measures(document: Any, measures: list[dict[str, Any]]) -> Any:
    return msgspec.convert({**msgspec.to_builtins(document), "measures": measures}, ScorecardDocument)

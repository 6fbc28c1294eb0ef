"""The views of the schema `analytics` say what the API says."""

from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import msgspec
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from scoring.scorecards.calibration import ScorecardCalibration, churn_probability
from service.storage.database.engine import create_engine
from tests.support.portfolio import CALIBRATION, Portfolio, counting
from tests.support.service import query, settings_for

pytestmark = pytest.mark.anyio

ATTRIBUTES = ("name", "segment", "stage", "owner", "seats", "arr", "started_on", "renews_on", "churned_on", "parent_id")


@pytest.fixture
async def engine(portfolio: Portfolio) -> AsyncIterator[AsyncEngine]:
    """The test's own way to the database of the customers."""
    engine = create_engine(settings_for(portfolio.database_url, "127.0.0.1:1", ""), "test")
    yield engine
    await engine.dispose()


def instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


async def test_health_is_what_the_api_answers(portfolio: Portfolio, engine: AsyncEngine) -> None:
    rows = {row.account_id: row for row in await query(engine, "SELECT * FROM analytics.account_health")}
    assert sorted(rows) == sorted(await portfolio.account_ids())
    seen: Counter[str] = Counter()
    for account_id, row in rows.items():
        health = await portfolio.health(account_id)
        assert (row.score, row.band) == counting(health), account_id
        assert (row.computed_score, row.computed_band) == (health["score"], health["band"])
        assert (row.coverage, str(row.day)) == (health["coverage"], health["day"])
        assert {"name": row.scorecard, "version": row.scorecard_version} == health["scorecard"]
        assert row.churn_probability == health["churn_probability"]
        assert row.evaluated_at == instant(health["evaluated_at"])
        override = health["override"]
        assert row.overridden == (override is not None)
        assert row.override_reason == (override and override["reason"])
        assert row.override_expires_at == instant(override and override["expires_at"])
        freshness = {name: instant(at) for name, at in health["freshness"].items()}
        assert freshness == {"usage": row.last_usage_at, "ticket": row.last_ticket_at, "survey": row.last_survey_at}
        assert row.firing_alerts == len(health["alerts"])
        days = await portfolio.days(account_id)
        for ago, score in ((7, row.score_7d_ago), (30, row.score_30d_ago)):
            then = days.get(portfolio.now.date() - timedelta(days=ago))
            assert score == (counting(then)[0] if then else None), (account_id, ago)
        account = (await portfolio.api.get(f"/v1/accounts/{account_id}")).json
        for name in ATTRIBUTES:
            value = getattr(row, name)
            written = account[name]
            assert value == (Decimal(str(written)) if name == "arr" and written else value) or str(value) == written
        seen.update(
            probable=row.churn_probability is not None,
            overridden=row.overridden, alerts=row.firing_alerts > 0, enterprise=row.scorecard == "enterprise",
            unknown=row.band == "unknown", month=row.score_30d_ago is not None,
        )  # fmt: skip
    assert all(seen.values()), seen


async def test_days_and_runs_are_what_the_api_answers(portfolio: Portfolio, engine: AsyncEngine) -> None:
    rows: defaultdict[str, dict[date, Any]] = defaultdict(dict)
    for row in await query(engine, "SELECT * FROM analytics.account_health_daily"):
        assert row.day not in rows[row.account_id]
        assert row.run_first_day <= row.day <= row.run_last_day
        rows[row.account_id][row.day] = row
    overridden = 0
    for account_id in await portfolio.account_ids():
        days = await portfolio.days(account_id)
        assert rows[account_id].keys() == days.keys(), account_id
        for day, told in days.items():
            row = rows[account_id][day]
            assert (row.score, row.band) == counting(told), (account_id, day)
            assert (row.computed_score, row.computed_band, row.coverage) == (
                told["score"], told["band"], told["coverage"]
            )  # fmt: skip
            assert {"name": row.scorecard, "version": row.scorecard_version} == told["scorecard"]
            assert row.churn_probability == told["churn_probability"]
            assert row.overridden == (told["override"] is not None)
            overridden += row.overridden
    runs = await query(engine, "SELECT sum(last_day - first_day + 1) AS days, count(*) AS runs FROM"
                               " analytics.account_health_runs")  # fmt: skip
    assert runs[0].days == sum(map(len, rows.values())) > runs[0].runs
    assert overridden > 20


async def test_the_probability_of_churn_is_that_of_the_core_to_the_last_bit(engine: AsyncEngine) -> None:
    random = Random(20)
    for _ in range(60):
        scores = sorted(random.sample(range(10_001), k=random.randrange(2, 12)))
        falling = sorted((random.choice([0, 1, 0.1, random.random()]) for _ in scores), reverse=True)
        points = [(score / 100, probability) for score, probability in zip(scores, falling, strict=True)]
        calibration = msgspec.convert({**CALIBRATION, "probabilities": points}, ScorecardCalibration)
        asked = [*(score for score, _ in points), *(random.uniform(0, 100) for _ in range(20)), 0.0, 100.0]
        rows = await query(
            engine,
            "SELECT analytics.churn_probability(score, CAST(:calibration AS jsonb))"
            " FROM unnest(CAST(:scores AS float8[])) AS score",
            calibration=msgspec.json.encode(calibration).decode(),
            scores=asked,
        )
        assert [row[0] for row in rows] == [churn_probability(calibration, score) for score in asked]
    nothing = "SELECT analytics.churn_probability(NULL, '{\"probabilities\": [[0, 1], [9, 0]]}'), "
    assert tuple((await query(engine, f"{nothing} analytics.churn_probability(5, NULL)"))[0]) == (None, None)


async def test_measures_are_what_the_api_answers(portfolio: Portfolio, engine: AsyncEngine) -> None:
    rows: defaultdict[str, list[Any]] = defaultdict(list)
    for row in await query(engine, "SELECT * FROM analytics.account_measures"):
        rows[row.account_id].append((row.name, row.measure, row.window_days, row.weight, row.value, row.missing))
    for account_id in await portfolio.account_ids():
        told = [
            tuple(each[name] for name in ("name", "measure", "window", "weight", "value", "missing"))
            for each in (await portfolio.health(account_id))["measures"]
            if not each["name"].startswith("veto:")
        ]
        assert rows[account_id] == told, account_id
    read = [each for measures in rows.values() for each in measures]
    assert any(value is None and missing for *_, value, missing in read)
    assert any(name != measure for name, measure, *_ in read), "one has a name of its own"


async def test_alerts_are_what_the_api_answers(portfolio: Portfolio, engine: AsyncEngine) -> None:
    firing = [alert for each in await portfolio.account_ids() for alert in (await portfolio.health(each))["alerts"]]
    taken_on = firing[0]["id"]
    assert (await portfolio.api.post(f"/v1/alerts/{taken_on}/acknowledge", {"by": "ann"})).status == 200
    rows = {str(row.id): row for row in await query(engine, "SELECT * FROM analytics.alerts")}
    told = await portfolio.api.all_items("/v1/alerts?page_size=100")
    assert len(rows) == len(told) > 10
    for alert in told:
        row, data = rows[alert["id"]], alert["data"]
        for name in ("account_name", "score", "previous_score", "band", "previous_band", "threshold", "drivers"):
            assert getattr(row, name) == data.get(name), name
        for name in ("account_id", "rule", "type", "state", "quiet", "acknowledged_by"):
            assert getattr(row, name) == alert[name], name
        for name in ("created_at", "acknowledged_at", "snoozed_until"):
            assert getattr(row, name) == instant(alert[name]), name
    assert rows[taken_on].acknowledged_by == "ann"


async def test_the_portfolio_is_the_sum_of_its_accounts(portfolio: Portfolio, engine: AsyncEngine) -> None:
    await query(engine, "UPDATE accounts SET arr = length(account_id) * 10.5 WHERE account_id < 'r' RETURNING 1")
    expected: Counter[tuple[Any, ...]] = Counter()
    revenue: defaultdict[tuple[Any, ...], Decimal | None] = defaultdict(lambda: None)
    for account in await portfolio.api.all_items("/v1/accounts?page_size=100"):
        arr = None if account["arr"] is None else Decimal(str(account["arr"]))
        for day, told in (await portfolio.days(account["account_id"])).items():
            key = (day, account["segment"], account["stage"], counting(told)[1])
            expected[key] += 1
            if arr is not None:
                revenue[key] = (revenue[key] or Decimal()) + arr
    today = portfolio.now.date()
    some = {"first": today - timedelta(days=20), "last": today - timedelta(days=1)}
    for source, values in (("portfolio_daily", {}), ("portfolio(:first, :last)", some)):
        first, last = values.get("first", today - timedelta(days=89)), values.get("last", today)
        days = {key: accounts for key, accounts in expected.items() if first <= key[0] <= last}
        rows = await query(engine, f"SELECT * FROM analytics.{source}", **values)
        found = {(row.day, row.segment, row.stage, row.band): row for row in rows}
        assert len(found) == len(rows)
        assert {key: row.accounts for key, row in found.items()} == days
        assert {key: row.arr for key, row in found.items()} == {key: revenue[key] for key in days}


async def test_an_override_that_has_expired_counts_up_to_then_though_nobody_has_looked(
    portfolio: Portfolio, engine: AsyncEngine
) -> None:
    """The state until the sweeper has run, or for long if none runs."""
    account_id = (await portfolio.account_ids())[0]
    since = portfolio.now.date() - timedelta(days=6)
    expired = datetime.combine(since + timedelta(days=4), portfolio.now.timetz())
    override = (
        "json_build_object('reason', 'r', 'author', 'a', 'set_at', 1, 'score', 1.5, 'band', 'red', 'expires_at',"
        " CAST(extract(epoch FROM CAST(:expired AS timestamptz)) * 1000000 AS bigint))"
    )
    await query(
        engine,
        f"UPDATE scores SET since = :since, override = {override} WHERE account_id = :id RETURNING 1",
        since=since, expired=expired, id=account_id,
    )  # fmt: skip
    await query(engine, "DELETE FROM history WHERE account_id = :id RETURNING 1", id=account_id)
    rows = await query(
        engine,
        "SELECT score, overridden FROM analytics.account_health_daily WHERE account_id = :id ORDER BY day",
        id=account_id,
    )
    assert [row.overridden for row in rows] == [True] * 4 + [False] * 3
    assert [row.score == 1.5 for row in rows] == [True] * 4 + [False] * 3
    (now,) = await query(
        engine, "SELECT overridden, override_reason FROM analytics.account_health WHERE account_id = :id", id=account_id
    )
    assert tuple(now) == (False, None)

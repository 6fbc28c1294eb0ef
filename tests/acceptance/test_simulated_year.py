"""A year of customers on a clock of its own: every alert and every row of history is derived again from the events.

Rules of all kinds, with hysteresis, dwell, cooldown and filters; a sweeper and a consumer that are away for days; words
of usage that come late. What must come of it is worked out by `tests.support.oracle_rules`, in other processes.
"""

import asyncio
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from multiprocessing import get_context
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from consumers.sweep.runner import sweep_once
from scoring.scorecards.document import parse
from scoring.state.calendar import from_micros, to_day, to_micros
from scoring.state.events import Event
from service.evaluation.evaluate import Inputs, advance_accounts
from service.evaluation.policy import PolicyCache
from service.runtime.ids import new_id
from service.runtime.settings import Settings
from service.storage.policy import rules, scorecards
from tests.support.oracle import DAY, HOUR
from tests.support.oracle_rules import Look, Retold, Run, Told, retell
from tests.support.population import customers
from tests.support.service import query
from tests.support.sizes import sized

ACCOUNTS, DAYS, SEED = sized(150, 500), 365, 1
START = to_day(date(2026, 1, 1))
FOLDS, SWEEPS = (8, 14), (0, 9, 15, 20)
"""Hours of the day at which new events are folded, and due accounts are swept."""
AWAY = range(START + 200, START + 203)
"""Days on which nothing runs."""
MINUTES, HOURS, WEEKS = 60, 3600, 604_800

SCORECARDS: list[dict[str, Any]] = [
    {
        "name": "default",
        "min_coverage": 0.4,
        "measures": [
            {"measure": "active_days", "window": 28, "weight": 3, "curve": [[0, 0], [8, 100]]},
            {
                "measure": "silence_ratio",
                "weight": 2,
                "curve": [[1, 100], [5, 0]],
                "missing": "neutral",
                "veto": {"below": 10, "cap": 35},
            },
            {"measure": "open_tickets", "weight": 2, "curve": [[0, 100], [4, 0]]},
            {"measure": "nps", "window": 90, "weight": 1, "curve": [[-100, 0], [100, 100]]},
        ],
    },
    {
        "name": "enterprise",
        "applies_to": {"segments": ["enterprise"], "rank": 1},
        "min_coverage": 0.5,
        "measures": [
            {"measure": "seat_utilization", "window": 30, "weight": 3, "curve": [[0, 0], [60, 100]]},
            {"measure": "usage_trend", "window": 14, "weight": 1, "curve": [[0, 0], [1.5, 100]], "missing": "worst"},
            {"measure": "oldest_open_ticket_days", "weight": 1, "curve": [[0, 100], [20, 0]]},
            {"measure": "days_since_last_use", "weight": 2, "curve": [[2, 100], [30, 0]]},
        ],
    },
    {
        "name": "onboarding",
        "applies_to": {"tenure_days": [0, 60]},
        "measures": [
            {"measure": "feature_adoption", "window": 30, "weight": 2, "curve": [[0, 0], [3, 100]], "missing": "worst"},
            {"measure": "usage_volume", "window": 7, "weight": 1, "curve": [[0, 20], [6, 100]], "missing": "neutral"},
            {"measure": "tickets_created", "window": 14, "weight": 1, "curve": [[0, 100], [5, 0]]},
        ],
    },
]
RULES: list[dict[str, Any]] = [
    {"name": "at risk", "kind": "score", "direction": "below", "level": 40.0, "clear_level": 50.0},
    {"name": "slipping", "kind": "score", "direction": "below", "level": 60.0, "clear_level": 65.0,
     "for_seconds": 36 * HOURS, "cooldown_seconds": 2 * WEEKS},
    {"name": "champion", "kind": "score", "direction": "above", "level": 80.0, "clear_level": 70.0,
     "for_seconds": 1 * HOURS, "segments": ["smb", "public"]},
    {"name": "red", "kind": "band", "to": ["red"], "cooldown_seconds": 1 * WEEKS},
    {"name": "well", "kind": "band", "to": ["green"], "for_seconds": 90 * MINUTES, "stages": ["live"]},
    {"name": "fell", "kind": "drop", "points": 20.0, "days": 7},
    {"name": "sinks", "kind": "drop", "points": 10.0, "days": 30, "for_seconds": 6 * HOURS,
     "cooldown_seconds": 3 * 24 * HOURS},
    {"name": "silent", "kind": "silence", "level": 2.0},
    {"name": "gone", "kind": "silence", "level": 4.5, "for_seconds": 24 * HOURS, "owners": ["ann"]},
]  # fmt: skip

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]

Folds = Mapping[int, Mapping[str, Sequence[Event]]]
"""Events by moment and account."""


def _moments(hours: Sequence[int]) -> list[int]:
    return [day * DAY + hour * HOUR for day in range(START, START + DAYS) if day not in AWAY for hour in hours]


def _folds() -> Folds:
    """The events of the year by the time they are folded: the first one after the broker took them."""
    moments = _moments(FOLDS)
    folds: dict[int, defaultdict[str, list[Event]]] = {moment: defaultdict(list) for moment in moments}
    for customer in customers(ACCOUNTS, START, DAYS, SEED):
        for taken, event in customer.events:
            if (following := bisect_left(moments, taken)) < len(moments):
                folds[moments[following]][customer.id].append(event)
    return folds


async def test_every_alert_and_every_run_of_a_year_is_as_the_events_say(
    engine: AsyncEngine, database_settings: Settings
) -> None:
    folds = _folds()
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        oracle = _ask_oracle(pool, folds, database_settings.retention_days)
        await _prepare(engine, database_settings)
        await _live(engine, database_settings, folds)
        expected = {account_id: retold for part in await oracle for account_id, retold in part.items()}
    told = await _told(engine)
    for account_id, retold in expected.items():
        assert told.get(account_id, []) == retold.alerts, account_id
    assert told.keys() <= expected.keys()
    await _check_history(engine, expected)
    await _check_that_it_was_a_year(engine, expected)


def _ask_oracle(pool: ProcessPoolExecutor, folds: Folds, retention: int) -> "asyncio.Future[list[dict[str, Retold]]]":
    mine: defaultdict[str, list[Look]] = defaultdict(list)
    for moment, by_account in folds.items():
        for account_id, events in by_account.items():
            mine[account_id].append(Look(moment, events))
    parts: list[dict[str, list[Look]]] = [dict(list(mine.items())[part::16]) for part in range(16)]
    loop = asyncio.get_running_loop()
    asked = [loop.run_in_executor(pool, retell, SCORECARDS, RULES, part, _moments(SWEEPS), retention) for part in parts]
    return asyncio.gather(*asked)


async def _prepare(engine: AsyncEngine, settings: Settings) -> None:
    async with engine.begin() as connection:
        for document in SCORECARDS:
            await scorecards.publish(connection, parse(document, settings.retention_days))
        for rule in RULES:
            document = {name: value for name, value in rule.items() if name not in ("name", "kind")}
            new = {"id": new_id(), "name": rule["name"], "kind": rule["kind"], "enabled": True, "document": document}
            await rules.create(connection, new)


async def _live(engine: AsyncEngine, settings: Settings, folds: Folds) -> None:
    """Go through the year, moment by moment, with the service's own consumer and sweeper."""
    policies = PolicyCache(settings.retention_days, lambda: 0.0)
    for moment in sorted([*_moments(FOLDS), *_moments(SWEEPS)]):
        now = from_micros(moment)
        if moment not in folds:
            while await sweep_once(engine, policies, settings, now):
                pass
        elif folds[moment]:
            async with engine.begin() as connection:
                policy = await policies.in_force(connection)
                await advance_accounts(connection, Inputs(folds[moment]), policy, now, base_url="")


async def _told(engine: AsyncEngine) -> dict[str, list[Told]]:
    told: defaultdict[str, list[Told]] = defaultdict(list)
    numbers: defaultdict[str, list[int]] = defaultdict(list)
    for row in await query(
        engine, "SELECT account_id, sequence, rule, state, created_at FROM alerts ORDER BY sequence"
    ):
        told[row.account_id].append(Told(row.rule, row.state, to_micros(row.created_at)))
        numbers[row.account_id].append(row.sequence)
    assert all(numbers[account_id] == list(range(1, len(numbers[account_id]) + 1)) for account_id in numbers)
    assert all([alert.at for alert in mine] == sorted(alert.at for alert in mine) for mine in told.values())
    return {account_id: sorted(mine, key=lambda alert: (alert.at, alert.rule)) for account_id, mine in told.items()}


async def _check_history(engine: AsyncEngine, expected: Mapping[str, Retold]) -> None:
    """One row for each run that has ended, none without a change."""
    kept: defaultdict[str, list[Any]] = defaultdict(list)
    for row in await query(engine, "SELECT account_id, since, day, scorecard, score, band FROM history ORDER BY day"):
        kept[row.account_id].append(row)
    for account_id, retold in expected.items():
        rows = [
            (to_day(row.since), to_day(row.day), row.scorecard, _near(row.score), row.band) for row in kept[account_id]
        ]
        assert rows == [_rounded(run) for run in retold.runs], account_id
    assert sum(map(len, kept.values())) == sum(len(retold.runs) for retold in expected.values())


def _near(score: float | None) -> float | None:
    return None if score is None else round(score, 6)


def _rounded(run: Run) -> tuple[int, int, str, float | None, str]:
    return run.since, run.day, run.scorecard, _near(None if run.score is None else float(run.score)), run.band


async def _check_that_it_was_a_year(engine: AsyncEngine, expected: Mapping[str, Retold]) -> None:
    """A year in which little happened shows nothing."""
    alerts = [alert for retold in expected.values() for alert in retold.alerts]
    by_rule = Counter((alert.rule, alert.state) for alert in alerts)
    assert min(by_rule[rule["name"], state] for rule in RULES for state in ("firing", "resolved")) >= 10
    at_midnight = [alert for alert in alerts if alert.at % DAY == 0 and alert.state == "firing"]
    assert Counter(alert.rule for alert in at_midnight)["silent"] > 100, "with no event at all"
    days = Counter(to_day(row.day) for row in await query(engine, "SELECT day FROM scores"))
    assert days == {START + DAYS - 1: len(expected)}

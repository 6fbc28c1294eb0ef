"""A real-shaped log of a million events: loaded into Kafka, folded by two consumers, held against the file itself."""

import asyncio
import json
import signal
import statistics
import subprocess
import sys
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from scoring.scorecards.document import parse
from scoring.state.account_state import AccountState, decode
from scoring.state.calendar import from_day, to_day
from service.evaluation.policy import starter
from service.runtime.settings import Settings
from tests.support.commands import command, environment
from tests.support.paths import ROOT
from tests.support.service import eventually, query

LOG = ROOT.parent / "shared" / "data" / "social.events.parquet"

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not LOG.exists(), reason=f"the event log {LOG.name} isn't on this machine"),
]

RETENTION = 92
Counts = dict[int, Counter[str]]
"""Events per day and feature of one account."""


def read_log() -> tuple[dict[str, Counts], int]:
    """Counts per account, day and feature straight from the file, and its number of events."""
    table = pq.read_table(LOG, columns=["account", "time", "type"])
    days = table["time"].cast("timestamp[us]").to_numpy().astype("datetime64[D]").astype(np.int64).tolist()
    accounts: dict[str, Counts] = defaultdict(lambda: defaultdict(Counter))
    for account, day, feature in zip(table["account"].to_pylist(), days, table["type"].to_pylist(), strict=True):
        accounts[str(account)][day][feature] += 1
    return accounts, table.num_rows


def expected_measures(counts: Counts, today: int) -> dict[str, float | None]:
    """The default scorecard's usage measures at `today`, from the words of their definition."""
    totals = {day: features.total() for day, features in counts.items()}
    active = sorted(totals)
    gaps = [later - earlier for earlier, later in pairwise(active)]
    silent = today - active[-1]
    recent = sum(totals.get(today - ago, 0) for ago in range(28))
    before = sum(totals.get(today - ago, 0) for ago in range(28, 56))
    is_old = any(today - RETENTION < day <= today - 55 for day in active)
    return {
        "usage_volume": recent,
        "usage_in_the_quarter": sum(totals.get(today - ago, 0) for ago in range(84)),
        "days_since_last_use": silent,
        "silence_ratio": silent / statistics.median(gaps) if len(active) >= 5 else None,
        "active_days": sum(1 for ago in range(30) if today - ago in totals),
        "usage_trend": recent / before if before and is_old else None,
        "feature_adoption": len({f for ago in range(30) for f in counts.get(today - ago, ())}),
    }


async def test_every_account_equals_the_file(settings: Settings, engine: AsyncEngine, tmp_path: Path) -> None:
    env = environment(settings, HEALTH_RETENTION_DAYS=str(RETENTION))
    columns = ["subject=account", "time=time", "feature=type", "user_id=user"]
    mapping = [word for column in columns for word in ("--column", column)]
    with (tmp_path / "consume.log").open("wb") as log:
        consume = [sys.executable, "-m", "service", "consume"]
        consumers = [subprocess.Popen(consume, env=env, stdout=log, stderr=log) for _ in range(2)]
    try:
        options = [*mapping, "--shift-to-now", "--state-dir", str(tmp_path)]
        loaded = await asyncio.to_thread(
            command, "load", "--topic", settings.topic_usage, *options, str(LOG), env=env, seconds=300
        )
        accounts, events = await asyncio.to_thread(read_log)
        await eventually(lambda: _folded(engine, events), f"{events} events folded:\n{loaded.stdout}", 300)
    finally:
        for consumer in consumers:
            consumer.send_signal(signal.SIGTERM)
        statuses = [await asyncio.to_thread(consumer.wait, 30) for consumer in consumers]
    assert statuses == [0, 0]
    owners = await query(engine, "SELECT DISTINCT owner FROM progress")
    assert len(owners) == 2, "both consumers took part"
    assert await query(engine, "SELECT 1 FROM dead_letters") == []
    await _compare(engine, accounts)


async def _folded(engine: AsyncEngine, events: int) -> bool:
    rows = await query(engine, "SELECT coalesce(sum(next_offset), 0) FROM progress")
    return int(rows[0][0]) >= events


async def _compare(engine: AsyncEngine, accounts: dict[str, Counts]) -> None:
    rows = await query(
        engine,
        "SELECT s.account_id, s.day, s.score, CAST(s.readings AS text) AS readings, u.state FROM scores s"
        " LEFT JOIN usage_states u USING (account_id)",
    )
    newest = max(day for counts in accounts.values() for day in counts)
    states = {row.account_id: decode(row.state, None, None, None) for row in rows}
    shift = _shift(states, newest)
    kept = {
        account_id: {day + shift: features for day, features in counts.items()}
        for account_id, counts in accounts.items()
    }
    assert states.keys() == kept.keys()
    names = [entry.title for entry in parse(starter("default"), RETENTION).measures]
    for row in rows:
        readings = dict(zip(names, json.loads(row.readings), strict=True))
        _compare_account(kept[row.account_id], states[row.account_id], to_day(row.day), readings, row)


def _shift(states: dict[str, AccountState], newest: int) -> int:
    """The number of days by which the log was moved: its newest day has become today or yesterday."""
    last = max(state.usage.last_day for state in states.values())
    today = datetime.now(UTC).date()
    assert from_day(last) in {today, today - timedelta(days=1)}
    return last - newest


def _compare_account(counts: Counts, state: AccountState, today: int, readings: dict[str, Any], row: Any) -> None:
    usage = state.usage
    within = {day: features for day, features in counts.items() if day > usage.newest - RETENTION}
    assert usage.days == {day: features.total() for day, features in within.items()}
    found: Counts = defaultdict(Counter)
    for feature, days in usage.features.items():
        for day, count in days.items():
            found[day][feature] = count
    assert found == within
    assert len(usage.users) == (1 if within else 0), "the log's users are all 0"
    if not within:
        assert row.score is None
        return
    for name, expected in expected_measures(within, today).items():
        found_value = None if isinstance(readings[name], str) else readings[name]
        assert found_value == (None if expected is None else pytest.approx(expected)), (row.account_id, name)

"""The census: counts accounts by band, segment and stage, and by score.

Churned accounts are counted apart: nobody looks after them, and lists can leave them out too.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Sequence

import structlog
from prometheus_client import Gauge
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from consumers.sweep.side_jobs import run_side_job
from service.observability import metrics
from service.runtime.tasks import sleep_unless_stopped, unless_stopped
from service.storage.accounts import portfolio_counts
from service.storage.accounts.portfolio_counts import PortfolioCell
from service.storage.database.retry import is_transient, retry_while_transient
from service.storage.policy.sources import is_timeout

log = structlog.get_logger(__name__)

EVERY_SECONDS = 60.0
SHARE = 0.02
"""The largest share of time: counting scans two tables, so large portfolios are counted less often."""
TIMEOUT_MS = 60_000
MOST_SEGMENTS = 20
MOST_STAGES = 10
OTHER = "other"
DOING = "counting accounts"
NONE = "none"
"""Stands for a missing segment, stage or score."""


async def run(engine: AsyncEngine, stop: asyncio.Event) -> None:
    """Count every minute until `stop` is set, through outages of Postgres."""
    while not stop.is_set():
        took = await unless_stopped(
            stop, run_side_job(lambda: retry_while_transient(lambda: count_once(engine), DOING), DOING)
        )
        await sleep_unless_stopped(stop, max(EVERY_SECONDS, (took or 0.0) / SHARE))


async def count_once(engine: AsyncEngine, timeout_ms: int = TIMEOUT_MS) -> float:
    """Count all accounts and publish the counts; returns the seconds it took. A count that takes too long is given up
    and logged.
    """
    started = time.monotonic()
    try:
        async with engine.begin() as connection:
            cells = await portfolio_counts.count(connection, timeout_ms)
    except DBAPIError as error:
        # Sweeping must continue even if counting fails.
        if is_transient(error) and not is_timeout(error):
            raise
        log.warning("accounts_not_counted", reason=str(error.orig))
    else:
        here = [cell for cell in cells if not cell.churned]
        _show(metrics.ACCOUNTS, by_kind(here))
        _show(metrics.ACCOUNTS_BY_SCORE, by_points(here))
        metrics.CHURNED_ACCOUNTS.set(sum(cell.accounts for cell in cells if cell.churned))
        metrics.ACCOUNTS_COUNTED.set_to_current_time()
    return time.monotonic() - started


def by_kind(cells: Sequence[PortfolioCell]) -> Counter[tuple[str, ...]]:
    """Accounts by band, segment and stage. Only the most frequent segments and stages are distinguished."""
    segments = _most(((cell.segment, cell.accounts) for cell in cells), MOST_SEGMENTS)
    stages = _most(((cell.stage, cell.accounts) for cell in cells), MOST_STAGES)
    counts: Counter[tuple[str, ...]] = Counter()
    for cell in cells:
        counts[cell.band, _word(cell.segment, segments), _word(cell.stage, stages)] += cell.accounts
    return counts


def by_points(cells: Iterable[PortfolioCell]) -> Counter[tuple[str, ...]]:
    """Accounts by range of ten points; every range is there, even if empty."""
    counts: Counter[tuple[str, ...]] = Counter({(_points(tens),): 0 for tens in (*range(10), None)})
    for cell in cells:
        counts[(_points(cell.tens),)] += cell.accounts
    return counts


def _points(tens: int | None) -> str:
    return NONE if tens is None else f"{tens}0-{100 if tens == 9 else f'{tens}9'}"


def _most(counted: Iterable[tuple[str | None, int]], most: int) -> set[str]:
    totals: Counter[str] = Counter()
    for word, accounts in counted:
        if word is not None:
            totals[word] += accounts
    # By name where counts are equal, so that the choice is stable.
    return set(sorted(totals, key=lambda word: (-totals[word], word))[:most])


def _word(word: str | None, known: set[str]) -> str:
    if word is None:
        return NONE
    return word if word in known else OTHER


def _show(gauge: Gauge, counts: Counter[tuple[str, ...]]) -> None:
    gauge.clear()
    for labels, count in counts.items():
        gauge.labels(*labels).set(count)

"""Checks each process's clock against the database's.

A process whose clock is a day ahead would move every score to tomorrow, and none would come back before then. So each
process compares its clock with the shared one: if they differ by more than a minute, it warns; by more than five
minutes, it writes nothing that depends on the day until they agree again, and reads by the database's clock.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from service.observability import metrics
from service.runtime.errors import HealthError
from service.storage.database.retry import is_transient

log = structlog.get_logger(__name__)

WARN_SECONDS = 60.0
STOP_SECONDS = 300.0
COMPARE_SECONDS = 5.0
FIRST_RETRY_SECONDS = 0.5
"""The delay before the first comparison is tried again."""
NOT_COMPARED = "the clock hasn't been compared with the database's yet"
REMEDY = "Have NTP set the clocks of this machine and of the database's"
COMPARING = "comparing clocks"
"""The name of the task that waits for Postgres, for the log."""
AGREES, APART, WRONG = "agrees", "apart", "wrong"


def classify(ahead: float) -> str:
    """The verdict on a clock that is `ahead` seconds ahead of the database's; behind it if negative."""
    if abs(ahead) > STOP_SECONDS:
        return WRONG
    return APART if abs(ahead) > WARN_SECONDS else AGREES


def least_ahead(local: float, database: float, uncertainty: float) -> float:
    """The least number of seconds by which `local` is ahead of `database`, if the time of reading the latter is not
    exact.
    """
    ahead = local - database
    if abs(ahead) <= uncertainty:
        return 0.0
    return ahead - uncertainty if ahead > 0 else ahead + uncertainty


class OneClock:
    """Compares this process's clock with the database's, at any moment.

    Between two comparisons it relies on a clock that nobody sets, so that a jump of the local one shows at once.
    """

    def __init__(self, local: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        """`local` returns seconds since 1970, `monotonic` never goes back."""
        self._local = local
        self._monotonic = monotonic
        self._database: float | None = None
        self._read_at = 0.0
        self._uncertainty = 0.0
        self._verdict = AGREES

    def record_comparison(self, database: datetime, began: float, ended: float) -> None:
        """Record the database's time, which was read between two moments of the monotonic clock."""
        self._database = database.timestamp()
        self._read_at = (began + ended) / 2
        self._uncertainty = (ended - began) / 2
        self._report()

    @property
    def ahead(self) -> float | None:
        """The least number of seconds by which the local clock is ahead, negative if behind; None if never compared."""
        database = self._estimate()
        return None if database is None else least_ahead(self._local(), database, self._uncertainty)

    @property
    def trouble(self) -> str:
        """The reason why nothing that depends on the day may be written now; empty if it may."""
        ahead = self.ahead
        if ahead is None:
            return NOT_COMPARED
        return describe_difference(ahead) if classify(ahead) == WRONG else ""

    @property
    def remark(self) -> str:
        """A warning for operators while work goes on; empty if there is none."""
        ahead = self.ahead
        return describe_difference(ahead) if ahead is not None and classify(ahead) == APART else ""

    @property
    def difference(self) -> str:
        """The difference of the clock for operators, if more than a minute. Empty if less, or unknown."""
        ahead = self.ahead
        return describe_difference(ahead) if ahead is not None and classify(ahead) != AGREES else ""

    def now(self) -> datetime:
        """The local clock's time, unless that is wrong; then the database's, which may be slightly off."""
        local, database, ahead = self._local(), self._estimate(), self.ahead
        moment = database if database is not None and ahead is not None and classify(ahead) == WRONG else local
        return datetime.fromtimestamp(moment, UTC)

    def require(self) -> None:
        """Raise `HealthError` if nothing that depends on the day may be written now."""
        if trouble := self.trouble:
            raise HealthError(trouble.capitalize(), REMEDY)

    def read_monotonic(self) -> float:
        """The monotonic clock, for `record_comparison`."""
        return self._monotonic()

    def _estimate(self) -> float | None:
        return None if self._database is None else self._database + self._monotonic() - self._read_at

    def _report(self) -> None:
        ahead = self.ahead or 0.0
        metrics.CLOCK_AHEAD_SECONDS.set(ahead)
        verdict = classify(ahead)
        if verdict == self._verdict:
            return
        self._verdict = verdict
        if verdict == AGREES:
            log.info("clock_agrees", ahead_seconds=round(ahead, 1))
        elif verdict == APART:
            log.warning("clock_apart", ahead_seconds=round(ahead, 1), remedy=REMEDY)
        else:
            log.error("clock_wrong", ahead_seconds=round(ahead, 1), remedy=REMEDY)


def describe_difference(ahead: float) -> str:
    """The difference between a clock and the database's, in words."""
    seconds = f"{abs(ahead):,.0f} s"
    return f"the clock is {seconds} {'ahead of' if ahead > 0 else 'behind'} the database's"


async def compare(engine: AsyncEngine, clock: OneClock) -> str:
    """Compare with the database's clock; returns why nothing that depends on the day may be written, empty if it
    may.
    """
    async with engine.connect() as connection:
        await _compare(connection, clock)
    return clock.trouble


async def agreed_now(connection: AsyncConnection) -> datetime:
    """The time, for a command that writes by it. Raises `HealthError` if the clocks are too far apart."""
    clock = OneClock()
    await _compare(connection, clock)
    clock.require()
    return clock.now()


_CLOCK = text("SELECT clock_timestamp()")
"""The database's time at this instant, not at the start of the transaction."""


async def _compare(connection: AsyncConnection, clock: OneClock) -> None:
    began = clock.read_monotonic()
    database = (await connection.execute(_CLOCK)).scalar_one()
    clock.record_comparison(database, began, clock.read_monotonic())


async def keep_comparing(engine: AsyncEngine, clock: OneClock) -> None:
    """Compare every few seconds, until cancelled. While Postgres is unavailable, the last comparison holds."""
    while True:
        await compare_if_reachable(engine, clock)
        await asyncio.sleep(FIRST_RETRY_SECONDS if clock.ahead is None else COMPARE_SECONDS)


async def compare_if_reachable(engine: AsyncEngine, clock: OneClock) -> None:
    """Compare once, if Postgres answers."""
    try:
        await compare(engine, clock)
    except Exception as error:
        if not is_transient(error):
            raise
        log.debug("clock_not_compared", reason=type(error).__name__)

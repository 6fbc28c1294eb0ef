"""Sources of usage events: watches them and lists them. Operators get a notice about a silent one, and its accounts
don't fire silence alerts.

Each day is counted after it has ended, before accounts are evaluated at the next one.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from scoring.silent_sources import FEWEST, is_back, is_silent, usual
from scoring.state.calendar import to_day
from service.alerts.operator_notices import SourceNotice, send_about_source
from service.observability import metrics
from service.storage.database.retry import is_transient
from service.storage.policy import sources as stored
from service.storage.policy.sources import Outage, SourceCount, SourceDay

log = structlog.get_logger(__name__)

LATELY = timedelta(days=7)
"""An account seen on a day, or up to this long before, belongs to the source."""
WEEKS = timedelta(days=28)
"""Distance of the earliest day that a day is compared with."""
KEPT = timedelta(days=400)
LISTED = timedelta(days=28)
"""The time that `listing` covers."""
CHECK_EVERY = timedelta(seconds=60)
"""Interval of checks whether an outage is over: while one is open, a check reads a table of all accounts."""
TIMEOUT_MS = 100_000
"""The longest that a count may take; shorter than the engine's statement timeout."""


class SourceWatch:
    """Checks the sources for a sweeper."""

    def __init__(self, engine: AsyncEngine, base_url: str) -> None:
        """`base_url` is for links in alerts."""
        self._engine = engine
        self._base_url = base_url
        self._day: date | None = None
        self._checked_at: datetime | None = None

    async def check(self, now: datetime) -> None:
        """Count the day that has ended, unless it was counted, and check every minute whether outages are over.

        Call it before accounts are evaluated at `now`. Several processes may do this at once: the first counts, and the
        others wait for it. A count that takes too long or fails for good is given up for the day or the minute, because
        accounts have to be evaluated.
        """
        today = now.astimezone(UTC).date()
        if self._day == today and self._checked_at is not None and now - self._checked_at < CHECK_EVERY:
            return
        try:
            async with self._engine.begin() as connection:
                await stored.acquire_lock(connection, TIMEOUT_MS)
                if self._day != today:
                    await close_day(connection, today - timedelta(days=1), now, self._base_url)
                metrics.QUIET_SOURCES.set(await end_what_is_over(connection, now, self._base_url))
        except Exception as error:
            if is_transient(error) and not stored.is_timeout(error):
                raise
            reason = str(getattr(error, "orig", None) or error)
            log.error("sources_not_counted", today=str(today), reason=reason)  # noqa: TRY400 - the reason is enough
        self._day, self._checked_at = today, now


async def close_day(connection: AsyncConnection, day: date, now: datetime, base_url: str) -> None:
    """Count a day that has ended, and begin and end outages accordingly, unless that was done. The caller holds the
    lock.
    """
    if await stored.is_counted(connection, day):
        return
    began = _start_of(day)
    heard = await stored.count(connection, began, began - LATELY, FEWEST)
    known = await _counts(connection, day - WEEKS)
    open_before = {outage.source for outage in await stored.open_outages(connection)}
    for each in heard:
        counts = known[each.source]
        if each.source not in open_before and is_silent(counts, to_day(day), each.accounts, each.lately):
            await _begin(connection, each, day, counts, now, base_url)
    await _end_where_back(connection, {each.source: each.accounts for each in heard}, now, base_url)
    await stored.save_days(connection, [SourceDay(each.source, day, each.accounts) for each in heard])
    await stored.delete_before(connection, day - KEPT)


async def end_what_is_over(connection: AsyncConnection, now: datetime, base_url: str) -> int:
    """End the outages of sources with enough accounts today; returns the number of silent sources."""
    silent = [outage.source for outage in await stored.open_outages(connection)]
    if not silent:
        return 0
    heard = await stored.count_accounts(connection, silent, _start_of(now.astimezone(UTC).date()))
    return len(silent) - await _end_where_back(connection, heard, now, base_url)


async def end(connection: AsyncConnection, source: str, now: datetime, base_url: str) -> bool:
    """End a source's outage at an operator's request; False if it isn't silent."""
    outage = await stored.end_outage(connection, source, now)
    if outage is None:
        return False
    known = (await _counts(connection, outage.began_on - WEEKS, source))[source]
    await send_about_source(connection, _notice(outage, None, known), now, base_url)
    return True


async def _begin(
    connection: AsyncConnection, heard: SourceCount, day: date, counts: Mapping[int, int], now: datetime, base_url: str
) -> None:
    outage = await stored.begin_outage(connection, heard.source, day, now)
    if outage is None:
        return
    notice = _notice(outage, heard.accounts, counts)
    await send_about_source(connection, notice, now, base_url)
    log.error(
        "source_quiet",
        source=heard.source,
        day=str(day),
        accounts=heard.accounts,
        usual=notice.usual,
        remedy="Check whether it still sends; if all is well, run: account-health sources end NAME",
    )


async def _end_where_back(connection: AsyncConnection, heard: Mapping[str, int], now: datetime, base_url: str) -> int:
    """End the outages of sources with enough accounts on one day, given in `heard`; returns their number."""
    ended = 0
    for outage in await stored.open_outages(connection):
        accounts = heard.get(outage.source, 0)
        counts = (await _counts(connection, outage.began_on - WEEKS, outage.source))[outage.source]
        if not is_back(counts, to_day(outage.began_on), accounts):
            continue
        if over := await stored.end_outage(connection, outage.source, now):
            await send_about_source(connection, _notice(over, accounts, counts), now, base_url)
            log.warning("source_outage_ended", source=outage.source, accounts=accounts)
        ended += 1
    return ended


def _notice(outage: Outage, accounts: int | None, counts: Mapping[int, int]) -> SourceNotice:
    expected = usual(counts, to_day(outage.began_on))
    return SourceNotice(outage, accounts, expected.accounts if expected else None)


async def _counts(
    connection: AsyncConnection, since: date, source: str | None = None
) -> defaultdict[str, dict[int, int]]:
    found: defaultdict[str, dict[int, int]] = defaultdict(dict)
    for each in await stored.days(connection, since, source):
        found[each.source][to_day(each.day)] = each.accounts
    return found


def _start_of(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


@dataclass(slots=True)
class ReportedSource:
    """A source with its counted days and its outages, both the newest first."""

    name: str
    days: list[SourceDay] = field(default_factory=list)
    outages: list[Outage] = field(default_factory=list)

    @property
    def is_silent(self) -> bool:
        """True while an outage lasts."""
        return any(outage.ended_at is None for outage in self.outages)


async def listing(connection: AsyncConnection, today: date) -> Sequence[ReportedSource]:
    """The sources that were counted in the last four weeks or are silent, by name, with the days of that time."""
    since = today - LISTED
    found: dict[str, ReportedSource] = {}
    for day in await stored.days(connection, since):
        found.setdefault(day.source, ReportedSource(day.source)).days.append(day)
    for outage in await stored.outages(connection, since):
        found.setdefault(outage.source, ReportedSource(outage.source)).outages.append(outage)
    return sorted(found.values(), key=lambda source: source.name)

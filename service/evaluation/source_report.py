"""Reports on sources of usage events: their accounts by day, and their outages."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from service.storage.policy import sources as stored
from service.storage.policy.sources import Outage, SourceDay

SHOWN = timedelta(days=28)


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
    since = today - SHOWN
    found: dict[str, ReportedSource] = {}
    for day in await stored.days(connection, since):
        found.setdefault(day.source, ReportedSource(day.source)).days.append(day)
    for outage in await stored.outages(connection, since):
        found.setdefault(outage.source, ReportedSource(outage.source)).outages.append(outage)
    return sorted(found.values(), key=lambda source: source.name)

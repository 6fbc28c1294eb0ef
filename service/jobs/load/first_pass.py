"""The first pass over a log: every row is checked before anything is sent."""

import asyncio
from collections import Counter

from msgspec import Struct, field

from scoring.state.calendar import MICROSECONDS_PER_DAY, day_of
from service.jobs.load.row_validation import EventDraft, EventDrafts, EventLog, RefusedRow, RowsVerdict, check
from service.jobs.load.terminal import StoppedError, bar
from service.messaging.cloudevents import now_micros
from service.runtime.errors import HealthError
from service.runtime.settings import Signal

MOST_EXAMPLES = 5


class Findings(Struct):
    """Counts over all rows of a log that were read so far."""

    rows: int = 0
    events: Counter[Signal] = field(default_factory=Counter)
    days: Counter[int] = field(default_factory=Counter)
    """Events per UTC day, as the log has them."""
    accounts: set[str] = field(default_factory=set)
    newest: int = 0
    """The time of the newest event, in microseconds."""
    refused: int = 0
    examples: list[RefusedRow] = field(default_factory=list)
    """The first rows that can't be events."""
    sample: EventDraft | None = None
    """The first event."""

    def add(self, drafts: EventDrafts, verdict: RowsVerdict) -> None:
        """Add the next rows and the result of their check."""
        self.rows = drafts.next_row - 1
        self.refused += len(verdict.refused)
        self.examples += verdict.refused[: MOST_EXAMPLES - len(self.examples)]
        if not verdict.passed:
            return
        times = [event.at for event in verdict.events]
        self.newest = max(times) if not self.days else max(self.newest, *times)
        self.days.update(at // MICROSECONDS_PER_DAY for at in times)
        self.events.update(draft.signal for draft in verdict.passed)
        self.accounts.update(draft.account_id for draft in verdict.passed)
        self.sample = self.sample or verdict.passed[0]

    def late(self, shift_days: int, retention_days: int, now: int) -> int:
        """The number of events that a consumer will skip as older than retention, if they are moved by `shift_days`."""
        newest_late = day_of(now) - retention_days - shift_days
        return sum(count for day, count in self.days.items() if day <= newest_late)


_LAST_DAY = 9999 * 366 * MICROSECONDS_PER_DAY


async def examine(log: EventLog, source: str, max_bytes: int, *, will_move: bool, stop: asyncio.Event) -> Findings:
    """Check every row as if Kafka took it now; if times `will_move`, future events pass.

    Raises `StoppedError` when `stop` is set, and `HealthError` if the file can't be read.
    """
    findings = Findings()
    taken_at = _LAST_DAY if will_move else now_micros()
    chunks = log.drafts(1, source, shift_days=0)
    with bar(f"Checking {log.path.name}", log.rows) as advance:
        while (drafts := await asyncio.to_thread(next, chunks, None)) is not None:
            if stop.is_set():
                raise StoppedError("Stopped while checking. Nothing was sent")
            verdict = await asyncio.to_thread(check, drafts, max_bytes, taken_at)
            advance(drafts.next_row - 1 - findings.rows)
            findings.add(drafts, verdict)
    return findings


def require_valid(log: EventLog, findings: Findings, so: str = "Nothing was sent") -> None:
    """Raise `HealthError` if any row was refused: it names the first and their number, and says `so`."""
    if findings.refused:
        first = findings.examples[0]
        others = f" (the first of {findings.refused:,} such rows)" if findings.refused > 1 else ""
        raise HealthError(
            f"{log.path} row {first.row:,}: {first.reason}{others}. {so}",
            "Correct it, or leave such rows out with --skip-invalid",
        )

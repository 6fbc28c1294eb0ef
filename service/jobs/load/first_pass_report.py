"""What reading a log through, before anything is sent, brought to light."""

from collections import Counter

from msgspec import Struct, field

from scoring.state.calendar import MICROSECONDS_PER_DAY, day_of
from service.jobs.load.row_validation import EventDraft, EventDrafts, RefusedRow, RowsVerdict
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
    """When the newest event happened, in microseconds."""
    refused: int = 0
    examples: list[RefusedRow] = field(default_factory=list)
    """The first rows that can't be events."""
    sample: EventDraft | None = None
    """The first event."""

    def add(self, drafts: EventDrafts, verdict: RowsVerdict) -> None:
        """Take in the next rows and how the check judged them."""
        self.rows = drafts.next_row - 1
        self.refused += len(verdict.refused)
        self.examples += verdict.refused[: MOST_EXAMPLES - len(self.examples)]
        if not verdict.passed:
            return
        self.newest = max(verdict.times) if not self.days else max(self.newest, *verdict.times)
        self.days.update(at // MICROSECONDS_PER_DAY for at in verdict.times)
        self.events.update(draft.signal for draft in verdict.passed)
        self.accounts.update(draft.account_id for draft in verdict.passed)
        self.sample = self.sample or verdict.passed[0]

    def late(self, shift_days: int, retention_days: int, now: int) -> int:
        """How many events a consumer will skip as older than retention, if they are moved by `shift_days`."""
        newest_late = day_of(now) - retention_days - shift_days
        return sum(count for day, count in self.days.items() if day <= newest_late)

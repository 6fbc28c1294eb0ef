"""Outcomes by the attributes of accounts, where no file names them: `renews_on` that passed, and `churned_on`."""

from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter

from scoring.backtest.outcomes import Outcome
from scoring.state.calendar import start_of, to_day_text
from scoring.state.events import AttributesEvent

SAME_END_DAYS = 14
"""An account that leaves so soon after a renewal didn't renew: its contract ran out, and the CRM learned of it late."""


def outcomes_by_attributes(events: Sequence[AttributesEvent], log_ends: int, *, still_there: bool) -> list[Outcome]:
    """The outcomes of the one account that `events` are of, in order of day; none without events.

    A day counts as a renewal if it was in `renews_on` when it began: dates that were moved before, or filled in later,
    say nothing of what was known; nor does one so late in the log that the account may yet leave. The account left on
    the last value of `churned_on`, unless that lies after the last day of the log. With `still_there`, an account that
    hasn't left has one more outcome: it was there on that day.
    """
    if not events:
        return []
    account = events[0].account_id
    ordered = sorted(events, key=attrgetter("at", "id"))
    values = [day for _, day in _values("churned_on", ordered)]
    left = values[-1] if values and values[-1] is not None and values[-1] <= log_ends else None
    renewals = _renewals(ordered, log_ends)
    if left is None:
        if still_there:
            renewals = [*renewals, log_ends]
        return [Outcome(account, day, churned=False) for day in sorted(set(renewals))]
    stayed = [Outcome(account, day, churned=False) for day in renewals if day < left - SAME_END_DAYS]
    return [*stayed, Outcome(account, left, churned=True)]


def _renewals(ordered: Sequence[AttributesEvent], log_ends: int) -> list[int]:
    """The days that were in `renews_on` when they began, up to the last that the log's end shows to have been kept."""
    values = list(_values("renews_on", ordered))
    replaced = [at for at, _ in values[1:]] + [start_of(log_ends + 1)]
    return [
        day
        for (at, day), replaced_at in zip(values, replaced, strict=False)
        if day is not None and at < start_of(day) <= replaced_at and day <= log_ends - SAME_END_DAYS
    ]


def _values(name: str, ordered: Iterable[AttributesEvent]) -> Iterator[tuple[int, int | None]]:
    """The values of an attribute that holds a day, each with the time in microseconds at which it was written."""
    for event in ordered:
        if name in event.values:
            value = event.values[name]
            yield event.at, to_day_text(value) if isinstance(value, str) else None

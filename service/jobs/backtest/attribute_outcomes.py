"""Outcomes from a log itself, whose account events say when accounts renewed and left, and from stored attributes."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date

import pyarrow.parquet as pq

from scoring.backtest.attribute_outcomes import outcomes_by_attributes
from scoring.backtest.outcomes import Outcome
from scoring.state.calendar import day_of, to_day
from scoring.state.events import AttributesEvent
from service.jobs.backtest.account_events import ATTRIBUTES_ONLY, by_account, decode_events
from service.jobs.backtest.partitioned_log import PartitionedLog, accounts_of
from service.runtime.errors import HealthError


def read_attribute_outcomes(
    log: PartitionedLog, *, still_there: bool, stored: Mapping[str, date | None] | None = None
) -> list[Outcome]:
    """The outcomes of all accounts of a log, by `renews_on` and `churned_on`; see `outcomes_by_attributes`.

    `stored` has the day on which accounts left, or None, by what the service knows now; it serves for accounts of which
    the log has no account event. Raises `HealthError` if no account left, or none stayed.
    """
    log_ends = day_of(log.contents.newest)
    found: list[Outcome] = []
    known: set[str] = set()
    for events in _attributes(log):
        known.add(events[0].account_id)
        found += outcomes_by_attributes(events, log_ends, still_there=still_there)
    if stored:
        for account in set(accounts_of(log)) & (stored.keys() - known):
            found += _stored_outcome(account, stored[account], log_ends, still_there=still_there)
    _require_both(found)
    return found


def _stored_outcome(account: str, left: date | None, log_ends: int, *, still_there: bool) -> list[Outcome]:
    if left is not None and to_day(left) <= log_ends:
        return [Outcome(account, to_day(left), churned=True)]
    return [Outcome(account, log_ends, churned=False)] if still_there else []


def _require_both(found: Sequence[Outcome]) -> None:
    for churned, problem, remedy in (
        (True, "no account of it has churned_on", "Give --outcomes FILE, or account events with churned_on"),
        (
            False,
            "no account of it has had a renews_on that passed",
            "Give --horizon-days, which needs no renewals, or --outcomes FILE",
        ),
    ):
        if all(outcome.churned != churned for outcome in found):
            raise HealthError(f"The log doesn't say what became of its accounts: {problem}", remedy)


def _attributes(log: PartitionedLog) -> Iterator[list[AttributesEvent]]:
    """The account events of each account that has any."""
    for number in range(len(log.contents.partitions)):
        for table in by_account(pq.read_table(log.partition(number), filters=ATTRIBUTES_ONLY)):
            yield [event for event in decode_events(table) if isinstance(event, AttributesEvent)]

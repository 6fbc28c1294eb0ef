"""Outcomes from a log itself: the account events in it say when accounts renewed and left."""

from collections.abc import Iterator

import pyarrow.parquet as pq

from scoring.backtest.attribute_outcomes import outcomes_by_attributes
from scoring.backtest.outcomes import Outcome
from scoring.state.calendar import day_of
from scoring.state.events import AttributesEvent
from service.jobs.backtest.account_events import ATTRIBUTES_ONLY, by_account, decode_events
from service.jobs.backtest.partitioned_log import PartitionedLog
from service.runtime.errors import HealthError


def read_attribute_outcomes(log: PartitionedLog, *, still_there: bool) -> list[Outcome]:
    """The outcomes of all accounts of a log, by `renews_on` and `churned_on`; see `outcomes_by_attributes`.

    Raises `HealthError` if they show no account that left, or none that stayed.
    """
    log_ends = day_of(log.contents.newest)
    found: list[Outcome] = []
    for events in _attributes(log):
        found += outcomes_by_attributes(events, log_ends, still_there=still_there)
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
    return found


def _attributes(log: PartitionedLog) -> Iterator[list[AttributesEvent]]:
    """The account events of each account that has any."""
    for number in range(len(log.contents.partitions)):
        for table in by_account(pq.read_table(log.partition(number), filters=ATTRIBUTES_ONLY)):
            yield [event for event in decode_events(table) if isinstance(event, AttributesEvent)]

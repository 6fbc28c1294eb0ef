"""A log of usage and its subscriptions' terms, as events by account and outcomes.

Terms follow each other. An account churned at the end of a term if none of its terms starts then; of terms that end
after the last start of any, the outcome isn't known.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from scoring.backtest.outcomes import Lifetime, Outcome
from scoring.state.calendar import day_of, from_day, start_of, to_day_text
from scoring.state.events import AttributesEvent, Event, UsageEvent
from service.runtime.errors import HealthError


class OutcomeLog(NamedTuple):
    """Events and lifetimes by account, how often each feature occurs, and outcomes up to the last day they are known.

    Events include the start of the account. `lifetimes` are of usage.
    """

    events: dict[str, list[Event]]
    lifetimes: dict[str, Lifetime]
    features: Counter[str]
    outcomes: list[Outcome]
    ends: int


def read_log(events: Path, terms: Path) -> OutcomeLog:
    """Read both Parquet files. Raises `HealthError` if one is missing."""
    for path in (events, terms):
        if not path.exists():
            raise HealthError(f"{path}: no such file", "name a log with known outcomes: --events FILE --terms FILE")
    usage = _usage(pq.read_table(events, columns=["account", "time", "type"]))
    starts, outcomes = _outcomes(pq.read_table(terms, columns=["account", "start", "end"]).to_pylist())
    return OutcomeLog(
        {account: [*_start(account, starts), *each] for account, each in usage.items()},
        {account: _lifetime([each.day for each in own]) for account, own in usage.items()},
        Counter(each.feature for own in usage.values() for each in own),
        outcomes,
        max(day for own in starts.values() for day in own),
    )


def _usage(table: pa.Table) -> dict[str, list[UsageEvent]]:
    accounts = pc.cast(table["account"], pa.string()).to_pylist()
    times = pc.cast(pc.cast(table["time"], pa.timestamp("us"), safe=False), pa.int64()).to_pylist()
    found: defaultdict[str, list[UsageEvent]] = defaultdict(list)
    for row, (account, at, feature) in enumerate(zip(accounts, times, table["type"].to_pylist(), strict=True)):
        day = day_of(at)
        found[account].append(UsageEvent(account, at, day, day, feature, None, 1, str(row)))
    return found


def _lifetime(days: Sequence[int]) -> Lifetime:
    return Lifetime(min(days), max(days))


def _outcomes(terms: Sequence[Mapping[str, object]]) -> tuple[dict[str, set[int]], list[Outcome]]:
    """The days on which the terms of each account start, and an outcome for each end."""
    starts: defaultdict[str, set[int]] = defaultdict(set)
    for term in terms:
        starts[str(term["account"])].add(_day(term["start"]))
    ends = [(str(term["account"]), _day(term["end"])) for term in terms]
    return starts, [Outcome(account, day, day not in starts[account]) for account, day in ends]


def _day(text: object) -> int:
    return to_day_text(str(text)[:10])


def _start(account: str, starts: Mapping[str, set[int]]) -> Iterator[Event]:
    """The event that gives the account its first day, if it has a term."""
    if days := starts.get(account):
        day = min(days)
        yield AttributesEvent(account, start_of(day), day, "start", {"started_on": from_day(day).isoformat()})

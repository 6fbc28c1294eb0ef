"""A twin of a service that loaded a log: it was fed the same events live, day by day, on a clock that was moved."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from typing import Any

from scoring.backtest.replay import received_at_once
from scoring.state.calendar import day_of, from_micros, start_of, to_day
from scoring.state.events import Event
from service.messaging.cloudevents import decode_structured, now_micros, signal_of
from tests.support.cloud_events import encode
from tests.support.service import query
from tests.support.sweeping import Clock


def decoded(events: Iterable[dict[str, Any]]) -> list[Event]:
    """The events as brokers would have received them at once, each once, in the order of the log."""
    found: dict[tuple[str, str], Event] = {}
    for each in events:
        event = decode_structured(signal_of(each["type"]), encode(each), now_micros()).event
        found.setdefault((event.source, event.id), received_at_once(event))
    return list(found.values())


async def live_through(clock: Clock, events: Iterable[dict[str, Any]], last: date, *, one_by_one: bool = False) -> None:
    """Take the service through all days up to `last`: at midnight it sweeps, and an account's events of a day are
    folded when the last of them happened, or each when it happened.
    """
    folds: defaultdict[int, defaultdict[str, list[Event]]] = defaultdict(lambda: defaultdict(list))
    for event in sorted(decoded(events), key=lambda event: event.at):
        folds[day_of(event.at)][event.account_id].append(event)
    for day in range(min(folds), to_day(last) + 1):
        await clock.sweep(from_micros(start_of(day)))
        batches = list(folds[day].values())
        if one_by_one:
            batches = [[event] for batch in batches for event in batch]
        for batch in sorted(batches, key=lambda batch: batch[-1].at):
            await clock.fold({batch[0].account_id: batch}, from_micros(batch[-1].at))


_COLUMNS = """account_id, day, since, score, band, coverage, scorecard, scorecard_version, readings::text, journal,
              override::text"""


async def stored_days(clock: Clock, before: date) -> list[tuple[Any, ...]]:
    """The runs of days that ended before the day `before`: all columns, and all bytes of the journals."""
    statement = f"SELECT {_COLUMNS} FROM history WHERE day < :first ORDER BY account_id, day"
    return [tuple(row) for row in await query(clock.engine, statement, first=before)]


async def lived_days(clock: Clock) -> list[tuple[Any, ...]]:
    """All runs of days, with the current ones as they are: those that a load gives up to the day before."""
    statement = f"""
        SELECT {_COLUMNS} FROM history UNION ALL SELECT {_COLUMNS} FROM scores ORDER BY account_id, day
    """
    return [tuple(row) for row in await query(clock.engine, statement)]

"""The past of one account, as rows of history. Pure."""

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from scoring.backtest.replay import replay
from scoring.rules.policy import Policy
from scoring.state.calendar import day_of, start_of
from scoring.state.events import Event
from service.storage.accounts.history import HistoryRow
from service.storage.accounts.score_codec import history_row


class Wanted(Struct, frozen=True, array_like=True):
    """An account whose past is wanted: the days before `live_from`, a day number.

    `started_on` serves if its events don't give it: it says nothing of what came later. All other attributes count from
    the day of their own events, as the current ones would tell the past what it couldn't know.
    """

    live_from: int
    created_at: datetime
    started_on: str | None = None


def past_rows(
    account_id: str,
    events: Sequence[Event],
    policy: Policy,
    live_from: int,
    first_kept: int,
    started_on: str | None = None,
) -> list[HistoryRow]:
    """The account's runs of days from its first event to the day before `live_from`, when its live history begins.

    They equal what the service would have stored, had it been live. Runs that ended before the day `first_kept` are
    left out. `policy` needs no rules: they move no score. `started_on` is as `Wanted` has it.
    """
    until = start_of(live_from) - 1
    if not any(event.at <= until for event in events):
        return []
    past = replay(events, policy, until, started_on)
    assert past.score_run is not None
    assert past.score_run.day == day_of(until)
    return [history_row(account_id, run) for run in (*past.closed, past.score_run) if run.day >= first_kept]

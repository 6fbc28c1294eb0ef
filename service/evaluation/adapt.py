"""Reads what a scorecard's measures say about the accounts in Postgres that are in force now. Reads only."""

import asyncio
from collections.abc import Callable
from datetime import datetime

from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncEngine

from scoring.history.day_by_day import with_due_pending
from scoring.scorecards.measure import Value
from scoring.scorecards.scorecard import read
from scoring.scorecards.selection import choose
from scoring.state.account_state import AccountState
from scoring.state.attributes import churned_on
from scoring.state.calendar import day_of, to_micros
from scoring.whatif.preview import PolicyDraft
from service.evaluation.changes import read_state
from service.evaluation.preview import YIELD_EVERY, Sample, stored_chunks


class Portfolio(Struct):
    """The readings of the accounts to which a scorecard applies, and the number of those that were left out."""

    readings: list[list[Value]]
    churned: int = 0
    others: int = 0
    """Accounts to which another scorecard applies."""


async def read_portfolio(
    reads: AsyncEngine,
    drawn: Sample,
    draft: PolicyDraft,
    now: datetime,
    advance: Callable[[int], None] = lambda _: None,
) -> Portfolio:
    """Read a sample's accounts by the draft's scorecard, as they are at `now`.

    `advance` is called with the number of further accounts done. The states of a thousand accounts are in memory at
    a time, and no connection is held while they are read.
    """
    found, moment = Portfolio([]), to_micros(now)
    async for stored, _ in stored_chunks(reads, drawn):
        for index, each in enumerate(stored):
            if index % YIELD_EVERY == 0:
                await asyncio.sleep(0)
            _add(found, read_state(each), draft, moment)
        advance(len(stored))
    return found


def _add(found: Portfolio, state: AccountState, draft: PolicyDraft, now: int) -> None:
    day = max(day_of(now), state.newest)
    state = with_due_pending(state, day)
    if churned_on(state.attributes, day) is not None:
        found.churned += 1
    elif choose(draft.published.scorecards, state, day) is not draft.card:
        found.others += 1
    else:
        found.readings.append(read(draft.card, state, day))

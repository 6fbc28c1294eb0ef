"""An account's past, read and brought up to now."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from scoring.advance import judge
from scoring.past import Past, up_to_now
from scoring.policy import Policy
from scoring.scorecards import Evaluation
from scoring.standing import Standing
from scoring.windows import to_micros
from service.changes import read_state
from service.standings import decode_override, standing_of
from service.storage import history_reads, states
from service.storage.history_reads import StoredRun


async def read_past(
    connection: AsyncConnection, account_id: str, first: int, policy: Policy, now: datetime
) -> Past | None:
    """The past of an account from the day number `first` on, as it is at `now`; None if there is no such account."""
    found = await states.read(connection, [account_id])
    if not found:
        return None
    closed = [_closed(run) for run in await history_reads.runs(connection, account_id, first)]
    return up_to_now(closed, read_state(found[0]), standing_of(found[0]), policy, to_micros(now))


async def judge_today(connection: AsyncConnection, account_id: str, policy: Policy, now: datetime) -> Evaluation | None:
    """What the account's state comes to at `now`, whatever day it was judged at; None if there is no such account."""
    found = await states.read(connection, [account_id])
    return judge(read_state(found[0]), policy, to_micros(now)) if found else None


def _closed(run: StoredRun) -> Standing:
    return Standing(*run[:9], override=decode_override(run.override))

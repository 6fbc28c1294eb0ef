"""The past of a stored account, brought up to now."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from scoring.history.runs import Past, up_to_now
from scoring.history.score_run import ScoreRun
from scoring.rules.policy import Policy
from scoring.state.calendar import to_micros
from service.evaluation.changes import read_state
from service.storage.accounts import history, states
from service.storage.accounts.history import StoredRun
from service.storage.accounts.score_codec import decode_override, score_run_of


async def read_past(
    connection: AsyncConnection, account_id: str, first: int, policy: Policy, now: datetime
) -> Past | None:
    """The past of an account from the day number `first` on, as it is at `now`; None if there is no such account."""
    found = await states.read(connection, [account_id])
    if not found:
        return None
    stored = await history.runs(connection, account_id, first)
    closed = [_closed(run) for run in stored]
    live_from = max((run.day + 1 for run in stored if run.replayed), default=None)
    return up_to_now(closed, read_state(found[0]), score_run_of(found[0]), policy, to_micros(now), live_from)


def _closed(run: StoredRun) -> ScoreRun:
    return ScoreRun(*run[:9], override=decode_override(run.override))

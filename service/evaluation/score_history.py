"""The past of a stored account, brought up to now."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from scoring.history.day_by_day import evaluate_now
from scoring.history.runs import Past, up_to_now
from scoring.history.score_run import AHEAD_MICROSECONDS, ScoreRun
from scoring.rules.policy import Policy
from scoring.scorecards.scorecard import Evaluation
from scoring.state.calendar import from_day, to_day, to_micros
from service.evaluation.changes import read_state
from service.evaluation.policy import PolicyCache
from service.storage.accounts import history, states
from service.storage.accounts.history import StoredRun
from service.storage.accounts.listing.row import AccountRecord
from service.storage.accounts.score_codec import decode_override, score_run_of

AHEAD = timedelta(microseconds=AHEAD_MICROSECONDS)
YIELD_EVERY = 20
"""Accounts between two turns of the event loop."""


async def read_past(
    connection: AsyncConnection, account_id: str, first: int, policy: Policy, now: datetime
) -> Past | None:
    """The past of an account from the day number `first` on, as it is at `now`; None if there is no such account."""
    found = await states.read(connection, [account_id])
    if not found:
        return None
    closed = [_closed(run) for run in await history.runs(connection, account_id, first)]
    return up_to_now(closed, read_state(found[0]), score_run_of(found[0]), policy, to_micros(now))


async def shown_today(
    connection: AsyncConnection, accounts: Sequence[AccountRecord], policies: PolicyCache, now: datetime
) -> list[AccountRecord]:
    """Accounts with their stored scores, or with those of `now` if they were evaluated at a future day."""
    last = to_day((now + AHEAD).date())
    ahead = [each.account_id for each in accounts if each.day is not None and to_day(each.day) > last]
    if not ahead:
        return list(accounts)
    policy, evaluations = await policies.recent(connection), {}
    for index, stored in enumerate(await states.read(connection, ahead)):
        if index % YIELD_EVERY == 0:
            await asyncio.sleep(0)
        evaluations[stored.account_id] = evaluate_now(read_state(stored), policy, to_micros(now))
    return [_with_evaluation(each, evaluations.get(each.account_id), now) for each in accounts]


def _with_evaluation(account: AccountRecord, evaluation: Evaluation | None, now: datetime) -> AccountRecord:
    if evaluation is None:
        return account
    return replace(
        account,
        score=evaluation.score,
        band=evaluation.band,
        coverage=evaluation.coverage,
        day=from_day(evaluation.day),
        evaluated_at=now,
    )


async def evaluate_today(
    connection: AsyncConnection, account_id: str, policy: Policy, now: datetime
) -> Evaluation | None:
    """The evaluation of the account's state at `now`, whenever it was last evaluated; None if there is no such
    account.
    """
    found = await states.read(connection, [account_id])
    return evaluate_now(read_state(found[0]), policy, to_micros(now)) if found else None


def _closed(run: StoredRun) -> ScoreRun:
    return ScoreRun(*run[:9], override=decode_override(run.override))

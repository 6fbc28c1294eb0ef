"""An account's health today or on a past day: from its stored score if that still holds, else recomputed.

Nowhere else is it decided whether a stored score still holds.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from scoring.history.day_by_day import evaluate_now
from scoring.history.explanation import evaluation_of
from scoring.history.journal import FindScorecard
from scoring.history.journal_codec import decode_journal
from scoring.history.runs import Past
from scoring.history.score_run import ScoreRun, decode_readings, is_ahead
from scoring.rules.policy import Policy
from scoring.scorecards.override import Override
from scoring.scorecards.scorecard import Evaluation
from scoring.state.calendar import from_day, from_micros, start_of, to_day, to_micros
from service.evaluation.changes import read_state
from service.evaluation.policy import PolicyCache
from service.evaluation.score_history import read_past
from service.storage.accounts import states
from service.storage.accounts.accounts import AccountRecord
from service.storage.accounts.score_codec import decode_override
from service.storage.accounts.score_reader import FiringAlert, Freshness, ScoreReader, StoredScore

WEEK, MONTH = 7, 30
YIELD_EVERY = 20
"""Accounts between two turns of the event loop."""


class CurrentHealth(Struct, frozen=True):
    """An account's evaluation now, or at the end of a past day, with its context.

    `day` is the requested day (a day number); the evaluation's own is later if the days between scored the same.
    `week_ago` and `month_ago` are the scores 7 and 30 days before. A past day has no firing alerts.
    """

    account_id: str
    evaluation: Evaluation
    day: int
    evaluated_at: datetime
    week_ago: float | None
    month_ago: float | None
    override: Override | None
    freshness: Freshness
    firing: Sequence[FiringAlert] = ()


class UnknownDayError(Exception):
    """Raised for a day before an account's first known one, `first_day` (a day number)."""

    def __init__(self, first_day: int) -> None:
        super().__init__(first_day)
        self.first_day = first_day


async def read(
    reads: AsyncEngine, scores: ScoreReader, policy: Policy, account_id: str, now: datetime, day: int | None = None
) -> CurrentHealth | None:
    """The health of an account at `now`, or at the end of a past `day` (a day number); None if there is no such
    account.

    Takes a connection of `reads` only to recompute. Raises `UnknownDayError`.
    """
    stored = await scores.get(account_id)
    if stored is None:
        return None
    if day is None and (health := _still_valid(stored, policy)) is not None:
        return health
    first = (to_day(now.date()) if day is None else day) - MONTH
    async with reads.connect() as connection:
        past = await read_past(connection, account_id, first, policy, now)
    return None if past is None else _of_past(stored, past, policy.find, now, day)


def _still_valid(stored: StoredScore, policy: Policy) -> CurrentHealth | None:
    """The health as stored; None if another scorecard is or may be in force, if its day has ended, or if it is of a
    future day.
    """
    day, evaluated_at, readings = stored.day, stored.evaluated_at, stored.readings
    if day is None or evaluated_at is None or readings is None or policy.digest is not None:
        return None
    if stored.due_at <= stored.read_at or is_ahead(day, to_micros(stored.read_at)):
        return None
    card = policy.successor(stored.scorecard, stored.scorecard_version)
    if card is None:
        return None
    evaluation = Evaluation(stored.score, stored.band, stored.coverage, day, card, decode_readings(readings))
    return CurrentHealth(
        stored.account_id,
        evaluation,
        day,
        evaluated_at,
        stored.week_ago,
        stored.month_ago,
        decode_override(stored.override),
        stored.freshness,
        stored.firing_alerts,
    )


def _of_past(stored: StoredScore, past: Past, find: FindScorecard, now: datetime, day: int | None) -> CurrentHealth:
    """The health at the end of a past day; with None, as it is now, as the sweeper would compute it."""
    asked = past.runs[-1].day if day is None else day
    run = past.at(asked)
    evaluation = evaluation_of(run, find)
    if run is None or evaluation is None:
        raise UnknownDayError(past.first_day)
    return CurrentHealth(
        stored.account_id,
        evaluation,
        asked,
        now if day is None else _closed_at(run, asked, find),
        _score(past, asked - WEEK),
        _score(past, asked - MONTH),
        run.override,
        stored.freshness,
        stored.firing_alerts if day is None else (),
    )


def _closed_at(run: ScoreRun, day: int, find: FindScorecard) -> datetime:
    """The time at which a past day's score was last made: its last move, or the end of the day if none is recorded."""
    last = decode_journal(run.journal, find).open
    return from_micros(last.at if last and run.since == day else start_of(day + 1))


def _score(past: Past, day: int) -> float | None:
    run = past.at(day)
    return run.score if run else None


async def of_today(
    connection: AsyncConnection, accounts: Sequence[AccountRecord], policies: PolicyCache, now: datetime
) -> list[AccountRecord]:
    """Accounts with their scores as last stored; with those of `now` if they were evaluated at a future day."""
    at = to_micros(now)
    ahead = [each.account_id for each in accounts if each.day is not None and is_ahead(to_day(each.day), at)]
    if not ahead:
        return list(accounts)
    policy, evaluations = await policies.recent(connection), {}
    for index, stored in enumerate(await states.read(connection, ahead)):
        if index % YIELD_EVERY == 0:
            await asyncio.sleep(0)
        evaluations[stored.account_id] = evaluate_now(read_state(stored), policy, at)
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
        scorecard=evaluation.card.name,
        scorecard_version=evaluation.card.version,
    )

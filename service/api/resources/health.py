"""GET /v1/accounts/{id}/health: the score now, or on a past day, and its explanation."""

from datetime import datetime
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from scoring.history.explanation import evaluation_of
from scoring.history.journal import FindScorecard
from scoring.history.journal_codec import decode_journal
from scoring.history.runs import Past
from scoring.history.score_run import ScoreRun
from scoring.rules.policy import Policy
from scoring.state.calendar import from_micros, start_of, to_day
from service.api.access.auth import READ
from service.api.access.deps import Api
from service.api.http.account_paths import AccountId
from service.api.http.day_range import CalendarDay, require_known, require_not_future
from service.api.http.openapi_helpers import json_responses
from service.api.http.problems import not_found
from service.api.resources.health_document import Health, Moment, document, trend
from service.api.resources.stored_health import firing_alerts, freshness, stored_moment
from service.evaluation.score_history import evaluate_today, read_past
from service.storage.accounts import score_reader
from service.storage.accounts.score_codec import decode_override
from service.storage.accounts.score_reader import StoredScore

router = APIRouter(prefix="/v1/accounts", tags=["accounts"])
_encoder = msgspec.json.Encoder()
WEEK, MONTH = 7, 30


@router.get(
    "/{account_id:account}/health",
    summary="The health of an account",
    dependencies=READ,
    responses=json_responses(Health),
)
async def read_health(
    account_id: AccountId,
    api: Api,
    day: Annotated[CalendarDay | None, Query(description="A past UTC day, as of its end. By default today.")] = None,
) -> Response:
    """The score with all its parts: contributions sum to the score.

    Today's is always current: if the stored score is of an earlier day, or another scorecard may be in force, it is
    computed before answering.
    """
    now = api.clock()
    today = now.date()
    asked = today if day is None else day
    require_not_future("day", asked, today, "for the days to come see /health/forecast")
    async with api.reads.connect() as connection:
        policy = await api.policies.recent(connection)
        stored = await score_reader.get(connection, account_id, now)
        if stored is None:
            raise not_found("account")
        if asked == today:
            moment = stored_moment(stored, policy) or await _now(connection, stored, policy, now)
            health = document(account_id, moment, freshness(stored), firing_alerts(stored))
        else:
            moment = await _then(connection, account_id, policy, now, to_day(asked))
            health = document(account_id, moment, freshness(stored))
    return Response(_encoder.encode(health), media_type="application/json")


async def _now(connection: AsyncConnection, stored: StoredScore, policy: Policy, now: datetime) -> Moment:
    """The account as it is now, as the sweeper would compute it; even if a wrong clock scored it for tomorrow."""
    evaluation = await evaluate_today(connection, stored.account_id, policy, now) if stored.is_ahead else None
    if evaluation is None:
        return await _then(connection, stored.account_id, policy, now, None)
    before = trend(evaluation.score, stored.week_ago, stored.month_ago)
    return Moment(evaluation, evaluation.day, now, before, decode_override(stored.override))


async def _then(connection: AsyncConnection, account_id: str, policy: Policy, now: datetime, day: int | None) -> Moment:
    """The account at the end of a day; with None, as it is now, as the sweeper would compute it."""
    today = to_day(now.date())
    past = await read_past(connection, account_id, (today if day is None else day) - MONTH, policy, now)
    if past is None:
        raise not_found("account")
    asked = past.runs[-1].day if day is None else day
    run = past.at(asked)
    evaluation = evaluation_of(run, policy.find)
    if run is None or evaluation is None:
        raise require_known(past)
    evaluated_at = now if day is None else _closed_at(run, asked, policy.find)
    before = (_score(past, asked - WEEK), _score(past, asked - MONTH))
    return Moment(evaluation, asked, evaluated_at, trend(run.score, *before), run.override)


def _closed_at(run: ScoreRun, day: int, find: FindScorecard) -> datetime:
    """The time at which a past day's score was last made: its last move, or the end of the day if none is recorded."""
    last = decode_journal(run.journal, find).open
    return from_micros(last.at if last and run.since == day else start_of(day + 1))


def _score(past: Past, day: int) -> float | None:
    run = past.at(day)
    return run.score if run else None

"""GET /v1/accounts/{id}/health: the score right now, and why it is what it is."""

from datetime import date, datetime
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from scoring.advance import Policy, judge
from scoring.scorecards import Evaluation, score
from scoring.windows import to_day, to_micros
from service.api.auth import READ
from service.api.deps import Api
from service.api.health_document import Health, document
from service.api.openapi import answers
from service.api.paths import AccountId
from service.api.problems import FieldError, invalid, not_found
from service.changes import read_state
from service.storage import alerts, score_reads, scores, states
from service.storage.score_reads import StoredScore

router = APIRouter(prefix="/v1/accounts", tags=["accounts"])
_encoder = msgspec.json.Encoder()


@router.get(
    "/{account_id:account}/health",
    summary="The health of an account",
    dependencies=READ,
    responses=answers(Health),
)
async def read_health(
    account_id: AccountId,
    api: Api,
    day: Annotated[date | None, Query(description="A UTC day. This version knows only today.")] = None,
) -> Response:
    """The score with everything it is made of: contributions sum to the score.

    It is always today's: where the stored score is of an earlier day, or a newer scorecard is in force, today's is
    computed before answering. This version keeps no history yet, so `trend` and `override` are null.
    """
    now = api.clock()
    if day not in (None, now.date()):
        raise invalid(FieldError("day", f"only today, {now.date()}, is available in this version"))
    async with api.reads.connect() as connection:
        health = await _health(connection, account_id, await api.policies.recent(connection), now)
    return Response(_encoder.encode(health), media_type="application/json")


async def _health(connection: AsyncConnection, account_id: str, policy: Policy, now: datetime) -> Health:
    stored = await score_reads.get(connection, account_id, now)
    if stored is None:
        raise not_found("account")
    evaluation, evaluated_at = _still_good(stored, policy), stored.evaluated_at
    if evaluation is None or evaluated_at is None:
        evaluation, evaluated_at = await _computed(connection, account_id, policy, now), now
    firing = await alerts.firing(connection, account_id)
    return document(stored, evaluation, evaluated_at, firing)


def _still_good(stored: StoredScore, policy: Policy) -> Evaluation | None:
    """The stored evaluation, unless another scorecard is in force, or it is due: its day has ended, for one."""
    if stored.is_due or stored.day is None or stored.readings is None:
        return None
    card = policy.scorecard(stored.scorecard, stored.scorecard_version)
    return score(scores.decode_readings(stored.readings), card, to_day(stored.day)) if card else None


async def _computed(connection: AsyncConnection, account_id: str, policy: Policy, now: datetime) -> Evaluation:
    rows = await states.read(connection, [account_id])
    if not rows:
        raise not_found("account")
    return judge(read_state(rows[0]), policy, to_micros(now))

"""GET /v1/accounts/{id}/health: the score now, or on a past day, and its explanation."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Response

from scoring.state.calendar import to_day
from service.api.access.auth import READ
from service.api.access.deps import Api
from service.api.http.account_paths import AccountId
from service.api.http.day_range import CalendarDay, require_not_future, unknown_day
from service.api.http.openapi_helpers import json_responses
from service.api.http.problems import not_found
from service.api.resources.health_document import Health, document
from service.evaluation import current_health
from service.evaluation.current_health import UnknownDayError

router = APIRouter(prefix="/v1/accounts", tags=["accounts"])
encode = msgspec.json.Encoder().encode


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
    if day is not None:
        require_not_future("day", day, today, "for the days to come see /health/forecast")
    past_day = None if day in (None, today) else to_day(day)
    policy = await api.policies.recent_by(api.reads)
    try:
        health = await current_health.read(api.reads, api.scores, policy, account_id, now, past_day)
    except UnknownDayError as error:
        raise unknown_day(error.first_day) from None
    if health is None:
        raise not_found("account")
    return Response(encode(document(health)), media_type="application/json")

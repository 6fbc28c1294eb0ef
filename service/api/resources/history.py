"""/v1/accounts/{id}/health/history and …/explain: the course of an account's score, and its causes."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Response

from scoring.history.explanation import explain_change
from service.api.access.auth import READ
from service.api.access.deps import Api
from service.api.http.account_paths import AccountId
from service.api.http.day_range import DayRange, unknown_day
from service.api.http.openapi_helpers import json_responses
from service.api.http.problems import not_found
from service.api.resources.history_document import History, Why, history_document, why_document
from service.evaluation.score_history import read_past

router = APIRouter(prefix="/v1/accounts", tags=["accounts"])
_encoder = msgspec.json.Encoder()
HISTORY_DAYS, WHY_DAYS = 89, 7


@router.get(
    "/{account_id:account}/health/history",
    summary="The health of an account, day by day",
    dependencies=READ,
    responses=json_responses(History),
)
async def read_history(account_id: AccountId, query: Annotated[DayRange, Query()], api: Api) -> Response:
    """The account at the end of each day, and the changes of the day; by default the last 90 days. Today is as of now.

    Days before the first known one are left out.
    """
    now = api.clock()
    first, last = query.days(now.date(), HISTORY_DAYS)
    async with api.reads.connect() as connection:
        policy = await api.policies.recent(connection)
        # From the day before, so that the first day's changes can be computed from it.
        past = await read_past(connection, account_id, first - 1, policy, now)
    if past is None:
        raise not_found("account")
    history = history_document(account_id, past, first, last, policy.find)
    return Response(_encoder.encode(history), media_type="application/json")


@router.get(
    "/{account_id:account}/health/explain",
    summary="Why the health of an account moved",
    dependencies=READ,
    responses=json_responses(Why),
)
async def read_explanation(account_id: AccountId, query: Annotated[DayRange, Query()], api: Api) -> Response:
    """The change from the end of one day to the end of another, by default over the last 7 days up to now: per cause
    and per measure, in points, each summing exactly to the change. A switch of scorecard is a cause of its own.

    Without `from`, it begins on the first known day if that is later. A `from` before that day is a 404 that names it.
    """
    now = api.clock()
    first, last = query.days(now.date(), WHY_DAYS)
    async with api.reads.connect() as connection:
        policy = await api.policies.recent(connection)
        past = await read_past(connection, account_id, first, policy, now)
    if past is None:
        raise not_found("account")
    if query.first is None:
        first = max(first, past.first_day)
    if min(first, last) < past.first_day:
        raise unknown_day(past.first_day)
    explanation = explain_change(past, first, last, policy.find)
    assert explanation is not None
    why = why_document(account_id, explanation, first, last, policy.find)
    return Response(_encoder.encode(why), media_type="application/json")

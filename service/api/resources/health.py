"""GET /v1/accounts/{id}/health: the score now, or on a past day, and its explanation."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Response
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.routing import Match
from starlette.types import ASGIApp, ExceptionHandler, Receive, Scope, Send

from scoring.state.calendar import to_day
from service.api.access.auth import READ, require_scope
from service.api.access.deps import Api, Context
from service.api.http.account_paths import AccountId, is_account_id
from service.api.http.day_range import CalendarDay, require_not_future, unknown_day
from service.api.http.openapi_helpers import json_responses
from service.api.http.problems import not_found
from service.api.resources.health_document import Health, document
from service.evaluation import current_health
from service.evaluation.current_health import UnknownDayError

router = APIRouter(prefix="/v1/accounts", tags=["accounts"])
_encode = msgspec.json.Encoder().encode


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
    return await _answer(api, account_id, day)


_ROUTE = router.routes[0]


class PlainHealth:
    """A layer that answers requests without a query, which ask for today's health; `read_health` answers others.

    Nothing is requested as often, and FastAPI's dependencies and validation take longer than the rest of an answer.
    """

    def __init__(self, app: ASGIApp, handlers: Mapping[Any, ExceptionHandler]) -> None:
        """`app` is the rest of the service, `handlers` its handlers of exceptions."""
        self._app = app
        self._plain = ExceptionMiddleware(_read_plainly, handlers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        app = self._plain if scope["type"] == "http" and _is_plain(scope) else self._app
        await app(scope, receive, send)


def _is_plain(scope: Scope) -> bool:
    """True if a request needs no validation; one that will be refused is left to `read_health` as well."""
    if scope["query_string"]:
        return False
    match, found = _ROUTE.matches(scope)
    if match != Match.FULL or not is_account_id(found["path_params"]["account_id"]):
        return False
    scope.update(found)
    return True


async def _read_plainly(scope: Scope, receive: Receive, send: Send) -> None:
    api: Context = scope["app"].state.context
    await require_scope(scope, api, "read")
    response = await _answer(api, scope["path_params"]["account_id"], None)
    await response(scope, receive, send)


async def _answer(api: Context, account_id: str, day: date | None) -> Response:
    now = api.clock()
    today = now.date()
    if day is not None:
        require_not_future("day", day, today, "for the days to come see /health/forecast")
    past_day = None if day is None or day == today else to_day(day)
    policy = await api.policies.recent_by(api.reads)
    try:
        health = await current_health.read(api.reads, api.scores, policy, account_id, now, past_day)
    except UnknownDayError as error:
        raise unknown_day(error.first_day) from None
    if health is None:
        raise not_found("account")
    return Response(_encode(document(health)), media_type="application/json")

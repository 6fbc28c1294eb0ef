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
    return Response(await _answer(api, account_id, day), media_type="application/json")


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
        app = self._app
        if scope["type"] == "http" and not scope["query_string"]:
            match, found = _ROUTE.matches(scope)
            # An id that will be refused is left to `read_health` as well.
            if match == Match.FULL and is_account_id(found["path_params"]["account_id"]):
                scope.update(found)
                app = self._plain
        await app(scope, receive, send)


async def _read_plainly(scope: Scope, receive: Receive, send: Send) -> None:
    api: Context = scope["app"].state.context
    await require_scope(scope, api, "read")
    body = await _answer(api, scope["path_params"]["account_id"], None)
    head = [(b"content-length", b"%d" % len(body)), (b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": body})


async def _answer(api: Context, account_id: str, day: date | None) -> bytes:
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
    return _encode(document(health))

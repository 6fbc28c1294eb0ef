"""Errors as RFC 9457 problems: what is wrong, in which fields, and what to do."""

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from msgspec import Struct
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException

from scoring.scorecards.document import InvalidDocumentError
from service.messaging.publisher import NotPublishedError
from service.runtime.errors import HealthError
from service.storage.database.retry import sqlstate, trouble

MOST_ERRORS = 50
"""The most errors in one answer."""
_LONGEST = 1_000
"""The most characters in one part of an answer."""
MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = {"Retry-After": "5"}
_NO_TABLES = "42P01"
_UNSTORABLE = ("22021", "22P05")
"""SQLSTATEs for text that the database's encoding can't hold. Known cases are refused by field; this catches others."""
_TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}
"""Titles of RFC 9110, which Python has only from 3.13 on."""


class FieldError(Struct, frozen=True):
    """A field at fault and what is allowed there."""

    field: str
    message: str


class Problem(Struct, frozen=True, omit_defaults=True):
    """An RFC 9457 problem. `errors` is present if fields of the request are at fault."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldError] = []
    request_id: str = ""


class ProblemError(HTTPException):
    """Raised anywhere below the API to answer with a problem."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        errors: Iterable[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, detail, headers)
        self.errors = list(errors)


def not_found(what: str) -> ProblemError:
    """The 404 for something that doesn't exist."""
    return ProblemError(404, f"There is no such {what}.")


def invalid(*errors: FieldError) -> ProblemError:
    """The 422 that names the fields at fault."""
    return ProblemError(422, "The request is invalid.", errors=errors)


def answer(
    status: int,
    detail: str,
    *,
    errors: Sequence[FieldError] = (),
    headers: Mapping[str, str] | None = None,
    request_id: str = "",
) -> Response:
    """A problem as a response."""
    return Response(problem_bytes(status, detail, errors, request_id), status, headers, MEDIA_TYPE)


def problem_bytes(status: int, detail: str, errors: Sequence[FieldError] = (), request_id: str = "") -> bytes:
    """A problem as JSON text. What it repeats of a request is bounded, in number and in length."""
    shown = [FieldError(_cut(each.field), _cut(each.message)) for each in errors[:MOST_ERRORS]]
    detail = _cut(detail)
    if len(errors) > MOST_ERRORS:
        detail = f"{detail} {len(errors) - MOST_ERRORS:,} more errors are not shown."
    return msgspec.json.encode(Problem("about:blank", title_of(status), status, detail, shown, request_id))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def title_of(status: int) -> str:
    """RFC 9110's title of a status."""
    return _TITLES.get(status) or HTTPStatus(status).phrase


def path_of(location: Sequence[object]) -> str:
    """A field's path as people write it: `measures[0].weight`."""
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
    return path or "body"


def install(app: FastAPI) -> None:
    """Answer every foreseeable error with a problem; others are left to `RequestLog`."""
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(InvalidDocumentError, _invalid_document)
    app.add_exception_handler(NotPublishedError, _not_published)
    app.add_exception_handler(HealthError, _not_operable)
    for error in (DBAPIError, PoolTimeoutError, OSError, TimeoutError):
        app.add_exception_handler(error, _database_error)


async def _http_error(_: Request, error: Any) -> Response:
    if isinstance(error, ProblemError):
        return answer(error.status_code, error.detail, errors=error.errors, headers=error.headers)
    detail = "There is nothing at this path." if error.status_code == 404 else error.detail
    return answer(error.status_code, detail, headers=error.headers)


async def _invalid_request(request: Request, error: Any) -> Response:
    # The first part of a location says whether it is the path, the query or a header.
    fields = [FieldError(path_of(each["loc"][1:]), each["msg"]) for each in error.errors()]
    return await _http_error(request, invalid(*fields))


async def _invalid_document(request: Request, error: Any) -> Response:
    fields = [FieldError(problem.field, problem.message) for problem in error.problems]
    return await _http_error(request, invalid(*fields))


async def _not_published(_: Request, __: Any) -> Response:
    detail = "Kafka did not confirm in time. Send it again with the same ids: what did arrive counts once."
    return answer(503, detail, headers=RETRY_AFTER)


async def _not_operable(_: Request, error: Any) -> Response:
    return answer(503, f"{error}.")


async def _database_error(_: Request, error: Any) -> Response:
    if why := trouble(error):
        return answer(503, f"{why[0].upper()}{why[1:]}. Try again.", headers=RETRY_AFTER)
    state = sqlstate(error)
    if state in _UNSTORABLE:
        return answer(422, "The request holds text that can't be stored: NUL, or half of a surrogate pair.")
    if state == _NO_TABLES:
        return answer(503, "The database has no tables yet. Run: account-health migrate")
    raise error

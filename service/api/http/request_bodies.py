"""Request bodies: of the right type, not too long, and strict JSON."""

from collections.abc import Awaitable, Callable
from itertools import islice
from typing import Annotated, Any, TypeVar

import msgspec
from fastapi import Depends, Request
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.http import problems
from service.api.http.headers import first_of, values_of
from service.api.http.problems import FieldError, ProblemError, invalid, path_of
from service.messaging.cloudevents import UNDECODABLE
from service.runtime.text import find_lone_surrogate, find_unstorable

Model = TypeVar("Model", bound="StrictModel")
JSON = "application/json"
MOST_VALUES = 2_000
"""The limit for a body that pydantic validates: the largest webhook endpoint holds half as many."""
_SHORT = 65_536


class StrictModel(BaseModel):
    """A body in which unknown fields and wrong types are errors."""

    model_config = ConfigDict(extra="forbid", strict=True)


class BodyLimit:
    """Refuses a body of more than `limit` bytes with 413, as soon as it is known to be longer."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        """`app` is the rest of the service."""
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = first_of(scope, b"content-length") or ""
        received = int(declared) if declared.isdecimal() and int(declared) > self._limit else 0

        async def receive_within_limit() -> Message:
            nonlocal received
            if received > self._limit and values_of(scope, b"expect"):
                raise self._too_long()  # receiving would make the client send it
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._limit:
                raise self._too_long()
            return message

        await self._app(scope, receive_within_limit, send)

    def _too_long(self) -> ProblemError:
        detail = f"The body must not exceed {self._limit:,} bytes."
        return ProblemError(413, detail, headers={"Connection": "close"})


async def read(request: Request, *accepted: str) -> tuple[str, bytes]:
    """The media type and the bytes of a body; 415 unless the type is one of `accepted`."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in accepted:
        raise ProblemError(415, f"Send it with Content-Type {' or '.join(accepted)}.")
    require_plain(request)
    return media_type, await request.body()


def require_plain(request: Request) -> None:
    """415 for a compressed body, which would otherwise be called bad JSON."""
    coding = request.headers.get("content-encoding", "").strip().lower()
    if coding not in ("", "identity"):
        raise ProblemError(
            415,
            "Send the body without Content-Encoding: compressed bodies aren't accepted.",
            headers={"Accept-Encoding": "identity"},
        )


def parse(raw: bytes) -> Any:
    """The value of JSON text; 422 if it isn't JSON, or can't be stored. NaN and Infinity are not JSON."""
    value = _decoded(raw)
    _require_storable(raw)
    return value


def _decoded(raw: bytes) -> Any:
    try:
        return msgspec.json.decode(raw)
    except UNDECODABLE as error:
        if half := find_lone_surrogate(raw):
            raise invalid(FieldError(half.path or "body", half.problem)) from None
        raise invalid(FieldError("body", f"is not JSON: {error}")) from None


def _require_storable(raw: bytes) -> None:
    if found := find_unstorable(raw):
        raise invalid(FieldError(found.path or "body", found.problem))


async def _json(request: Request) -> dict[str, Any]:
    _, raw = await read(request, JSON)
    value = parse(raw)
    if not isinstance(value, dict):
        raise invalid(FieldError("body", "must be an object"))
    return value


JsonObject = Annotated[dict[str, Any], Depends(_json)]
"""A body that its handler checks."""


def body_of(model: type[Model]) -> Callable[[Request], Awaitable[Model]]:
    """A dependency that reads the body as `model`; 422 names the fields at fault."""

    async def read_model(request: Request) -> Model:
        _, raw = await read(request, JSON)
        return validated(model, raw)

    return read_model


def validated(model: type[Model], raw: bytes) -> Model:
    """JSON text as `model`; 422 names the fields at fault.

    Validating a great many values takes seconds, during which nobody else is answered, so such a body is refused
    before.
    """
    value = _decoded(raw)
    if isinstance(value, dict) and len(unknown := value.keys() - _names_of(model)) > problems.MOST_ERRORS:
        some = sorted(islice(unknown, problems.MOST_ERRORS - 1))
        count = FieldError("body", f"has {len(unknown):,} unknown fields")
        raise invalid(count, *(FieldError(name, "is not known") for name in some))
    if _holds_more_than(MOST_VALUES, value):
        raise invalid(FieldError("body", f"holds more than {MOST_VALUES:,} values; no valid body does"))
    try:
        body = model.model_validate_json(raw if len(raw) <= _SHORT else _with_each_name_once(value))
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        raise invalid(*(FieldError(path_of(each["loc"]), each["msg"]) for each in found)) from None
    _require_storable(raw)
    return body


def _names_of(model: type[BaseModel]) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}


def _holds_more_than(most: int, value: Any) -> bool:
    """True if JSON holds more than `most` values; stops counting there."""
    waiting, count = [value], 0
    while waiting and count <= most:
        count += 1
        inner = waiting.pop()
        if isinstance(inner, dict | list):
            waiting += islice(inner.values() if isinstance(inner, dict) else inner, most + 1)
    return count > most


def _with_each_name_once(value: Any) -> bytes:
    """The same JSON without repeated names, keeping the last value of each: every repetition would be an error."""
    try:
        return msgspec.json.encode(value)
    except OverflowError:
        raise invalid(FieldError("body", "holds a whole number of more than 64 bits")) from None

"""Request bodies: of the right type, not too long, and strict JSON."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

import msgspec
from fastapi import Depends, Request
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.problems import FieldError, ProblemError, invalid, path_of
from service.cloudevents import UNDECODABLE
from service.storable import fault_in_json

Model = TypeVar("Model", bound="StrictModel")
JSON = "application/json"


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
        declared = Headers(scope=scope).get("content-length", "")
        received = int(declared) if declared.isdecimal() and int(declared) > self._limit else 0

        async def receive_within_limit() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._limit:
                raise ProblemError(
                    413, f"The body must not exceed {self._limit:,} bytes.", headers={"Connection": "close"}
                )
            return message

        await self._app(scope, receive_within_limit, send)


async def read(request: Request, *accepted: str) -> tuple[str, bytes]:
    """The media type and the bytes of a body; 415 unless the type is one of `accepted`."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in accepted:
        raise ProblemError(415, f"Send it with Content-Type {' or '.join(accepted)}.")
    return media_type, await request.body()


def parse(raw: bytes) -> Any:
    """The value that JSON text stands for; 422 if it isn't JSON, or can't be stored. NaN and Infinity are not JSON."""
    try:
        value = msgspec.json.decode(raw)
    except UNDECODABLE as error:
        raise invalid(FieldError("body", f"is not JSON: {error}")) from None
    _require_storable(raw)
    return value


def _require_storable(raw: bytes) -> None:
    if found := fault_in_json(raw):
        raise invalid(FieldError(found.path or "body", found.problem))


async def _json(request: Request) -> dict[str, Any]:
    _, raw = await read(request, JSON)
    value = parse(raw)
    if not isinstance(value, dict):
        raise invalid(FieldError("body", "must be an object"))
    return value


JsonObject = Annotated[dict[str, Any], Depends(_json)]
"""A body that is checked by what it is for."""


def body_of(model: type[Model]) -> Callable[[Request], Awaitable[Model]]:
    """A dependency that reads the body as `model`; 422 names the fields at fault."""

    async def read_model(request: Request) -> Model:
        _, raw = await read(request, JSON)
        return validated(model, raw)

    return read_model


def validated(model: type[Model], raw: bytes) -> Model:
    """JSON text as `model`; 422 names the fields at fault."""
    try:
        body = model.model_validate_json(raw)
    except ValidationError as error:
        fields = [FieldError(path_of(each["loc"]), each["msg"]) for each in error.errors()]
        raise invalid(*fields) from None
    _require_storable(raw)
    return body

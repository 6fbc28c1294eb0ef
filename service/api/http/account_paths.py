"""Account ids in paths. An id may hold any character but controls, `/` too if it is percent-encoded.

Servers decode a path before it is routed, after which `a%2Fb` looks like two segments. So the path is decoded here once
more, with another character in the place of an encoded slash: a lone surrogate, which UTF-8 never decodes to.
"""

import re
from typing import Annotated, Any
from urllib.parse import unquote

from fastapi import Path
from pydantic import AfterValidator, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.http import problems
from service.runtime.text import PRINTABLE_SCHEMA, unprintable_problem

_SLASH = "\udc2f"
_ENCODED_SLASH = re.compile("%2f", re.IGNORECASE)
LONGEST_ACCOUNT_ID = 256


class _AccountConvertor(StringConvertor):
    """`{account_id:account}` in a route."""

    def convert(self, value: str) -> str:
        return value.replace(_SLASH, "/")


register_url_convertor("account", _AccountConvertor())


class Printable(AfterValidator):
    """An annotation of text that people write and the database can store: the rule of `service.runtime.text`."""

    def __init__(self) -> None:
        """Takes no options."""
        super().__init__(_printable)

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Add the rule to the API's description."""
        return {**handler(core), **PRINTABLE_SCHEMA}


def _printable(text: str) -> str:
    if (problem := unprintable_problem(text)) is not None:
        raise PydanticCustomError("printable", "{problem}", {"problem": problem})
    return text


AccountId = Annotated[
    str,
    Path(
        min_length=1, max_length=LONGEST_ACCOUNT_ID, description="Percent-encode it, `/` as `%2F`.", examples=["acme"]
    ),
    Printable(),
]


def is_account_id(text: str) -> bool:
    """True for text that `AccountId` accepts."""
    return 0 < len(text) <= LONGEST_ACCOUNT_ID and unprintable_problem(text) is None


class SlashesInSegments:
    """Decodes the path so that an encoded slash doesn't end a segment. A path that isn't UTF-8 leads nowhere: 404."""

    def __init__(self, app: ASGIApp) -> None:
        """`app` is the rest of the service."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            raw = _ENCODED_SLASH.sub(_SLASH, scope["raw_path"].decode("latin-1"))
            try:
                scope["path"] = unquote(raw, errors="strict")
            except UnicodeDecodeError:
                await problems.answer(404, "The path is not UTF-8.")(scope, receive, send)
                return
        await self._app(scope, receive, send)

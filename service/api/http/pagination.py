"""Pages of a list, by keyset: a page token holds the last row's key, so nothing is missed or repeated."""

import base64
import binascii
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta
from pydantic import BaseModel, ConfigDict, Field

from service.api.http.problems import FieldError, invalid

Item = TypeVar("Item")

TokenText = Annotated[str, Meta(max_length=1024, pattern=r"^[^\x00]*$")]
"""Text in a token's key: whatever it holds, the database can store it."""
TokenNumber = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class PageQuery(BaseModel):
    """The query parameters that every list takes. An unknown parameter is an error, as it may be a typo."""

    model_config = ConfigDict(extra="forbid")

    page_size: int = Field(100, ge=1, le=1000, description="The most items on a page.")
    page_token: str | None = Field(
        None, description="`next_page_token` of the previous page; the other parameters must stay the same."
    )

    @property
    def limit(self) -> int:
        """The number of rows to read: one more than the page has, to know if another follows."""
        return self.page_size + 1

    def start(self, form: Any) -> Any:
        """The key in the page token; None on the first page, 422 if it has another form."""
        return None if self.page_token is None else decode_token("page_token", self.page_token, form)

    def cut(self, rows: Sequence[Item], key_of: Callable[[Item], object]) -> tuple[Sequence[Item], str | None]:
        """The page's items out of `rows`, which were read with `limit`, and the token of the next page."""
        items = rows[: self.page_size]
        return items, encode_token(key_of(items[-1])) if len(rows) > self.page_size else None


def encode_token(key: object) -> str:
    """A key as an opaque token."""
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).rstrip(b"=").decode()


def decode_token(field: str, token: str, form: Any) -> Any:
    """The key in a token; 422 that names `field` if `encode_token` didn't make it from such a key."""
    try:
        text = base64.b64decode(token.encode() + b"=" * (-len(token) % 4), altchars=b"-_", validate=True)
        key = msgspec.json.decode(text, type=form)
        return tuple(map(_in_utc, key)) if isinstance(key, tuple) else key
    except (binascii.Error, ValueError, RecursionError, OverflowError):
        raise invalid(FieldError(field, "isn't one that this list returned; start at the first page")) from None


def _in_utc(part: object) -> object:
    """A part of a key in a form that the database can compare; raises OverflowError for a moment outside of UTC's
    years.
    """
    return part.astimezone(UTC) if isinstance(part, datetime) else part


def complete_page(items: Sequence[Any]) -> dict[str, Any]:
    """A list that is always complete, in the form of a page."""
    return {"items": items, "next_page_token": None}

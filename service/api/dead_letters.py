"""/v1/dead-letters: records that were refused, whole, and why."""

import base64
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import AfterValidator, BaseModel, Field

from service.api.auth import READ
from service.api.deps import Api
from service.api.pages import PageQuery, TokenNumber
from service.api.paths import LONGEST_ACCOUNT_ID, printable
from service.storage import dead_letter_lists

router = APIRouter(prefix="/v1/dead-letters", tags=["operations"])


class Bytes(BaseModel):
    """Bytes from Kafka: as text where they are UTF-8, else as base64."""

    encoding: Literal["utf-8", "base64"]
    text: str


class Header(Bytes):
    """A record's header."""

    name: str


class RefusedRecord(BaseModel):
    """A record that was refused. `account_id` is its key, where that is readable."""

    id: int
    topic: str
    partition: int
    offset: int
    account_id: str | None
    reason: str
    key: Bytes | None
    value: Bytes | None
    headers: Sequence[Header]
    recorded_at: datetime = Field(description="When the broker took the record.")
    created_at: datetime = Field(description="When it was refused.")
    replayed_at: datetime | None


class DeadLetterPage(BaseModel):
    """A page of dead letters."""

    items: Sequence[RefusedRecord]
    next_page_token: str | None


class DeadLetterQuery(PageQuery):
    """Which dead letters. Pages are small, as records may be large."""

    page_size: int = Field(20, ge=1, le=100, description="How many items a page has at most.")
    topic: Annotated[str, AfterValidator(printable)] | None = Field(None, max_length=249)
    account_id: Annotated[str, AfterValidator(printable)] | None = Field(None, max_length=LONGEST_ACCOUNT_ID)


@router.get("", summary="List dead letters", dependencies=READ)
async def list_dead_letters(query: Annotated[DeadLetterQuery, Query()], api: Api) -> DeadLetterPage:
    """Newest first."""
    async with api.reads.connect() as connection:
        rows = await dead_letter_lists.page(
            connection,
            before=query.start(TokenNumber),
            limit=query.limit,
            topic=query.topic,
            account_id=query.account_id,
        )
    items, token = query.cut(rows, lambda letter: letter.id)
    return DeadLetterPage(items=[_shown(letter) for letter in items], next_page_token=token)


def _shown(letter: dead_letter_lists.DeadLetter) -> RefusedRecord:
    same = ("id", "topic", "partition", "offset", "account_id", "reason", "recorded_at", "created_at", "replayed_at")
    return RefusedRecord(
        **{name: getattr(letter, name) for name in same},
        key=None if letter.key is None else Bytes(**_readable(letter.key)),
        value=None if letter.value is None else Bytes(**_readable(letter.value)),
        headers=[Header(name=name, **_readable(base64.b64decode(value))) for name, value in letter.headers],
    )


def _readable(raw: bytes) -> dict[str, str]:
    try:
        return {"encoding": "utf-8", "text": raw.decode()}
    except UnicodeDecodeError:
        return {"encoding": "base64", "text": base64.b64encode(raw).decode()}

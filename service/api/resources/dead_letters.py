"""/v1/dead-letters: refused records, whole, with the reason; and publishing them again."""

import base64
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncEngine

from service.api.access.auth import READ, WRITE
from service.api.access.deps import Api
from service.api.http.account_paths import LONGEST_ACCOUNT_ID, Printable
from service.api.http.day_range import Instant
from service.api.http.pagination import PageQuery, TokenNumber
from service.api.http.problems import RETRY_AFTER, ProblemError, not_found
from service.messaging.dead_letter_replay import replay, replay_problem
from service.messaging.publisher import NotPublishedError, RecordTooLargeError
from service.storage.ingest import dead_letter_listing
from service.storage.ingest.dead_letter_listing import DeadLetter, DeadLetterFilter
from service.storage.ingest.dead_letters import header_from_text

router = APIRouter(prefix="/v1/dead-letters", tags=["operations"])


class Bytes(BaseModel):
    """Bytes from Kafka: as text if they are UTF-8, else as base64."""

    encoding: Literal["utf-8", "base64"]
    text: str


class Header(BaseModel):
    """A record's header. `text` is null if it has no value."""

    name: str
    encoding: Literal["utf-8", "base64"]
    text: str | None


class RefusedRecord(BaseModel):
    """A refused record. `account_id` is its key, if that is readable."""

    id: int
    topic: str
    partition: int
    offset: int
    account_id: str | None
    reason: str
    key: Bytes | None
    value: Bytes | None
    headers: Sequence[Header]
    recorded_at: datetime = Field(description="The record's timestamp; the beginning of 1970 if it has no valid one.")
    created_at: datetime = Field(description="When it was refused.")
    replayed_at: datetime | None = Field(description="When it was last published again.")
    relayed_at: datetime | None = Field(description="When it was published to the topic's dead-letter topic.")


class DeadLetterPage(BaseModel):
    """A page of dead letters."""

    items: Sequence[RefusedRecord]
    next_page_token: str | None


class DeadLetterQuery(PageQuery):
    """Filters of dead letters. Pages are small, as records may be large."""

    page_size: int = Field(20, ge=1, le=100, description="The most items on a page.")
    topic: Annotated[str, Printable()] | None = Field(None, max_length=249)
    account_id: Annotated[str, Printable()] | None = Field(None, max_length=LONGEST_ACCOUNT_ID)
    reason: Annotated[str, Printable()] | None = Field(None, max_length=200, description="A part of the reason.")
    since: Instant | None = Field(None, description="Refused then or later.")
    replayed: bool | None = Field(None, description="`true`: those that were published again; `false`: the others.")

    @property
    def filter(self) -> DeadLetterFilter:
        """The filter for storage."""
        names = ("topic", "account_id", "reason", "since", "replayed")
        return DeadLetterFilter(**{name: getattr(self, name) for name in names})


_SAME = RefusedRecord.model_fields.keys() - {"key", "value", "headers"}
LetterId = Annotated[int, Path(ge=1, le=2**63 - 1, examples=[1])]


@router.get("", summary="List dead letters", dependencies=READ)
async def list_dead_letters(query: Annotated[DeadLetterQuery, Query()], api: Api) -> DeadLetterPage:
    """Dead letters, newest first."""
    async with api.reads.connect() as connection:
        rows = await dead_letter_listing.page(
            connection, query.filter, before=query.start(TokenNumber), limit=query.limit
        )
    items, token = query.cut(rows, lambda letter: letter.id)
    return DeadLetterPage(items=[_shown(letter) for letter in items], next_page_token=token)


@router.get("/{letter_id}", summary="One dead letter", dependencies=READ)
async def get_dead_letter(letter_id: LetterId, api: Api) -> RefusedRecord:
    """The record and the reason why it was refused."""
    return _shown(await _find(api.reads, letter_id))


@router.post("/{letter_id}/replay", summary="Replay a dead letter", dependencies=WRITE)
async def replay_dead_letter(
    letter_id: LetterId,
    api: Api,
    again: Annotated[bool, Query(description="Even if it was replayed before.")] = False,
) -> RefusedRecord:
    """Publish the record again, unchanged, to its topic, once consumers can use it.

    The answer comes when every in-sync replica has it; consumers process it a moment later. If they refuse it again,
    that is a new dead letter. An event counts once, by `source` and `id`, however often it is replayed.
    """
    letter = await _find(api.reads, letter_id)
    if letter.replayed_at is not None and not again:
        raise ProblemError(
            409, f"It was replayed at {letter.replayed_at.isoformat()}. To replay it once more: ?again=true"
        )
    if why := replay_problem(letter, api.settings.max_record_bytes):
        raise ProblemError(409, f"It would be refused again: {why}.")
    try:
        await replay(api.engine, api.publisher, [letter], api.clock())
    except RecordTooLargeError as error:
        raise ProblemError(409, f"Kafka refuses it: {error}. Raise max.message.bytes of {letter.topic}.") from None
    except NotPublishedError:
        detail = "Kafka did not confirm in time. Replay it again: if it did arrive, it counts once."
        raise ProblemError(503, detail, headers=RETRY_AFTER) from None
    return _shown(await _find(api.reads, letter_id))


async def _find(reads: AsyncEngine, letter_id: int) -> DeadLetter:
    async with reads.connect() as connection:
        letter = await dead_letter_listing.get(connection, letter_id)
    if letter is None:
        raise not_found("dead letter")
    return letter


def _shown(letter: DeadLetter) -> RefusedRecord:
    return RefusedRecord(
        **{name: getattr(letter, name) for name in _SAME},
        key=None if letter.key is None else Bytes(**_readable(letter.key)),
        value=None if letter.value is None else Bytes(**_readable(letter.value)),
        headers=[_header(name, header_from_text(value)) for name, value in letter.headers],
    )


def _header(name: str, value: bytes | None) -> Header:
    return Header(name=name, encoding="utf-8", text=None) if value is None else Header(name=name, **_readable(value))


def _readable(raw: bytes) -> dict[str, Any]:
    try:
        return {"encoding": "utf-8", "text": raw.decode()}
    except UnicodeDecodeError:
        return {"encoding": "base64", "text": base64.b64encode(raw).decode()}

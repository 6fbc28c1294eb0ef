"""POST /v1/events: facts about accounts, over HTTP instead of Kafka."""

from collections.abc import Iterable
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Request
from msgspec import Raw, Struct
from pydantic import BaseModel

from scoring.windows import to_micros
from service import event_schemas
from service.api.auth import WRITE
from service.api.bodies import JSON, read
from service.api.deps import Api, Context
from service.api.openapi import ref, takes
from service.api.problems import FieldError, ProblemError, invalid
from service.cloudevents import UNDECODABLE, InvalidEventError, decode_structured, signal_of
from service.publishing import Record

router = APIRouter(prefix="/v1/events", tags=["events"])

ONE = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
MOST_EVENTS = 1_000

_EXAMPLE = event_schemas.example("usage")
_BODY = takes(ref("Event"), _EXAMPLE, ONE)
_BODY["requestBody"]["content"][BATCH] = {
    "schema": {"type": "array", "items": ref("Event"), "maxItems": MOST_EVENTS},
    "example": [_EXAMPLE],
}


class Accepted(BaseModel):
    """How many events are in Kafka now."""

    accepted: int


class _Peek(Struct):
    """As much of an event as tells where it goes."""

    type: Any = None


_peek = msgspec.json.Decoder(_Peek)
_batch = msgspec.json.Decoder(list[Raw])


@router.post("", status_code=202, summary="Send events", dependencies=WRITE, openapi_extra=_BODY)
async def send_events(
    request: Request,
    api: Api,
    backfill: Annotated[bool, Query(description="Loaded history: only retention as of today applies.")] = False,
) -> Accepted:
    """One CloudEvent or a batch, in structured mode. 202 means that every one is in Kafka, on all in-sync replicas.

    One event that can't be used refuses the whole batch; `errors` names it by its index. After a 503 send all of them
    again: an event counts once, by `source` and `id`.
    """
    media_type, raw = await read(request, ONE, BATCH, JSON)
    records = _records(media_type, raw, api, backfill)
    await api.publisher.publish(records)
    return Accepted(accepted=len(records))


def _records(media_type: str, raw: bytes, api: Context, backfill: bool) -> list[Record]:
    is_batch = media_type == BATCH or (media_type == JSON and raw.lstrip()[:1] == b"[")
    events: Iterable[tuple[str, bytes]] = [("", raw)]
    if is_batch:
        events = ((f"[{index}]", bytes(event)) for index, event in enumerate(_split(raw)))
    taken_at = to_micros(api.clock())
    return [_record(at, event, taken_at, api, backfill) for at, event in events]


def _split(raw: bytes) -> list[Raw]:
    try:
        events = _batch.decode(raw)
    except UNDECODABLE as error:
        raise invalid(FieldError("body", f"is not a JSON array: {error}")) from None
    if len(events) > MOST_EVENTS:
        raise invalid(FieldError("body", f"holds {len(events):,} events; send at most {MOST_EVENTS:,} at once"))
    return events


def _record(at: str, event: bytes, taken_at: int, api: Context, backfill: bool) -> Record:
    longest = api.settings.max_record_bytes
    try:
        signal = signal_of(_peek.decode(event).type)
        subject = decode_structured(signal, event, taken_at).event.account_id
        if backfill:
            event = msgspec.json.encode({**msgspec.json.decode(event), "backfill": True})
    except InvalidEventError as error:
        raise invalid(FieldError(f"{at}.{error.field}".lstrip("."), error.message)) from None
    except UNDECODABLE as error:
        raise invalid(FieldError(at or "body", f"is not a JSON object: {error}")) from None
    if len(event) > longest:
        fields = [FieldError(at or "body", f"is {len(event):,} bytes long; at most {longest:,} are taken")]
        raise ProblemError(413, "An event is too long.", errors=fields)
    return api.settings.topics[signal], subject, event

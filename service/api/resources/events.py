"""POST /v1/events: facts about accounts, over HTTP instead of Kafka."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Request
from msgspec import Struct
from pydantic import BaseModel, Field

from scoring.state.calendar import day_of, to_micros
from scoring.state.events import Event
from service.api.access.auth import WRITE
from service.api.access.deps import Api, Context
from service.api.http.event_modes import BATCH, MOST_EVENTS, ONE, SentEvent, read_events
from service.api.http.openapi_helpers import json_request_body, schema_ref
from service.api.http.problems import FieldError, ProblemError, invalid
from service.api.middleware.tracing import brings_context, publish
from service.messaging import event_schemas
from service.messaging.cloudevents import UNDECODABLE, Decoded, decode_structured, signal_of
from service.messaging.envelope import InvalidEventError
from service.messaging.publisher import Record
from service.runtime.text import find_lone_surrogate

router = APIRouter(prefix="/v1/events", tags=["events"])

_EXAMPLE = event_schemas.example("usage")
_BODY = json_request_body(schema_ref("Event"), _EXAMPLE, ONE)
_BODY["requestBody"]["content"][BATCH] = {
    "schema": {"type": "array", "items": schema_ref("Event"), "maxItems": MOST_EVENTS},
    "example": [_EXAMPLE],
}


class Accepted(BaseModel):
    """The number of events that are in Kafka now, and the places of those that won't count."""

    accepted: int
    late: int = Field(
        description="Of these, how many happened longer ago than events are kept (HEALTH_RETENTION_DAYS): they are "
        "counted as late and change no score."
    )
    backfill: int = Field(description="Of these, how many are loaded history: their alerts are sent in a digest.")


class _Peek(Struct):
    """The fields of an event that decide where it goes."""

    type: Any = None


_peek = msgspec.json.Decoder(_Peek)


@router.post("", status_code=202, summary="Send events", dependencies=WRITE, openapi_extra=_BODY)
async def send_events(
    request: Request,
    api: Api,
    backfill: Annotated[bool, Query(description="Loaded history: only retention as of today applies.")] = False,
) -> Accepted:
    """One CloudEvent or a batch, in structured mode; or one in binary mode, with its attributes in headers
    (`ce-specversion`, `ce-id`, `ce-source`, `ce-type`, `ce-subject`, `ce-time`) and its data, as JSON, in the body. 202
    means that every one is in Kafka, on all in-sync replicas.

    Check `late`: these events arrived too old to count. One unusable event refuses the whole batch; `errors` names it
    by its index. After a 503 send all of them again: an event counts once, by `source` and `id`.
    """
    taken_at = to_micros(api.clock())
    read = [_record(sent, taken_at, api, backfill) for sent in await read_events(request)]
    await publish(api.publisher, [record for record, _ in read], over_events=brings_context(request.scope))
    return Accepted(
        accepted=len(read),
        late=sum(_is_late(decoded.event, api.settings.retention_days) for _, decoded in read),
        backfill=sum(backfill or decoded.backfill for _, decoded in read),
    )


def _record(sent: SentEvent, taken_at: int, api: Context, backfill: bool) -> tuple[Record, Decoded]:
    event, longest = sent.value, api.settings.max_record_bytes
    try:
        signal = signal_of(_peek.decode(event).type)
        decoded = decode_structured(signal, event, taken_at)
        if backfill:
            event = msgspec.json.encode({**msgspec.json.decode(event), "backfill": True})
    except InvalidEventError as error:
        raise invalid(FieldError(sent.field(error.field), error.message)) from None
    except UNDECODABLE as error:
        if half := find_lone_surrogate(event):
            raise invalid(FieldError(sent.field(half.path or "event"), half.problem)) from None
        raise invalid(FieldError(sent.at or "body", f"is not a JSON object: {error}")) from None
    if len(event) > longest:
        fields = [FieldError(sent.at or "body", f"is {len(event):,} bytes long; at most {longest:,} are taken")]
        raise ProblemError(413, "An event is too long.", errors=fields)
    return (api.settings.topics[signal], decoded.event.account_id, event), decoded


def _is_late(event: Event, retention: int) -> bool:
    """True if the fold will skip an event that Kafka takes today, as too old."""
    return day_of(event.at) <= event.broker_day - retention

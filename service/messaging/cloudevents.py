"""Strict decoding of CloudEvents 1.0, in structured and binary mode, into typed events.

The sender of an unusable event learns which field is at fault and what is allowed there. Unknown attributes of the
envelope are extensions, which the specification allows; unknown fields of `data` are mistakes.
"""

import base64
import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from sys import intern
from typing import Annotated, Any, Generic, Literal, TypeVar, get_args

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from xxhash import xxh3_64_intdigest

from scoring.scorecards.validation_errors import fault_of
from scoring.state.calendar import MICROSECONDS_PER_DAY, to_day, to_micros, to_micros_and_day
from scoring.state.events import (
    LOWEST,
    AttributesEvent,
    AttributeValue,
    Event,
    SurveyEvent,
    SurveyKind,
    TicketEvent,
    UsageEvent,
)
from service.runtime.settings import Signal
from service.runtime.text import (
    PRINTABLE_SCHEMA,
    STORABLE_SCHEMA,
    find_lone_surrogate,
    find_unstorable,
    unprintable_problem,
    unstorable_problem,
)

MAX_AHEAD = 5 * 60 * 1_000_000
"""The most microseconds that an event may be dated ahead of the broker's clock."""

Identifier = Annotated[str, Meta(min_length=1, max_length=256, extra_json_schema=STORABLE_SCHEMA)]
EventText = Annotated[str, Meta(min_length=1, max_length=200, extra_json_schema=STORABLE_SCHEMA)]
# Schemas of what is checked only after decoding: `event_schemas` publishes them for senders.
_PrintableId = Annotated[str, Meta(min_length=1, max_length=256, extra_json_schema=PRINTABLE_SCHEMA)]
_PrintableWord = Annotated[str, Meta(min_length=1, max_length=200, extra_json_schema=PRINTABLE_SCHEMA)]
_ON_A_SCALE: dict[str, Any] = {"minimum": -1000, "maximum": 1000}
_JsonType = Annotated[str, Meta(extra_json_schema={"pattern": "[Jj][Ss][Oo][Nn]"})]
MOST_MONEY = 10_000_000_000_000
"""The most revenue per year that an account may have."""
_FIRST_DAY, _LAST_DAY = to_day(date.min), to_day(date.max)


class InvalidEventError(ValueError):
    """An unusable event: `field` is at fault, the message says what is allowed."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class AheadError(InvalidEventError):
    """An event that is dated ahead of the time at which the broker received it."""


class UsageData(Struct, gc=False, forbid_unknown_fields=True):
    """`data` of usage.recorded."""

    feature: EventText
    user_id: Identifier | None = None
    quantity: Annotated[int, Meta(ge=1, le=1_000_000_000)] = 1


class TicketData(Struct, gc=False, forbid_unknown_fields=True):
    """`data` of ticket.changed: a snapshot."""

    ticket_id: Identifier
    status: Literal["new", "open", "pending", "hold", "solved", "closed"]
    priority: Literal["low", "normal", "high", "urgent"]
    created_at: Annotated[datetime, Meta(tz=True)]
    solved_at: Annotated[datetime, Meta(tz=True)] | None = None
    reopens: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    satisfaction: Literal["good", "bad"] | None = None


class SurveyData(Struct, gc=False, forbid_unknown_fields=True):
    """`data` of survey.answered. The comment is accepted and not kept: no measure reads it."""

    survey: SurveyKind
    response_id: Identifier
    score: Annotated[
        float, Meta(description="From scale_min to scale_max; of nps a whole number.", extra_json_schema=_ON_A_SCALE)
    ]
    respondent_id: Identifier | None = None
    scale_min: (
        Annotated[float, Meta(ge=-1000, le=1000, description="The worst score; by default 0 for nps, else 1.")] | None
    ) = None
    scale_max: (
        Annotated[
            float,
            Meta(
                ge=-1000,
                le=1000,
                description="The best score, above scale_min; by default 10 for nps, 5, or 7 for ces.",
            ),
        ]
        | None
    ) = None
    comment: Annotated[str, Meta(extra_json_schema=STORABLE_SCHEMA)] | None = None


class AttributesData(Struct, gc=False, forbid_unknown_fields=True):
    """`data` of account.changed: only the given fields change, null clears one."""

    name: _PrintableWord | UnsetType | None = UNSET
    segment: _PrintableWord | UnsetType | None = UNSET
    stage: _PrintableWord | UnsetType | None = UNSET
    owner: _PrintableWord | UnsetType | None = UNSET
    seats: Annotated[int, Meta(ge=0, le=2_000_000_000)] | UnsetType | None = UNSET
    arr: Decimal | UnsetType | None = UNSET
    started_on: date | UnsetType | None = UNSET
    renews_on: date | UnsetType | None = UNSET
    churned_on: date | UnsetType | None = UNSET
    parent_id: _PrintableId | UnsetType | None = UNSET


Data = TypeVar("Data")


class Envelope(Struct, Generic[Data], gc=False):
    """The attributes of a CloudEvent: `source` and `id` together identify it, `subject` is the account id.

    `backfill` is an extension of this service: the event is loaded history, and nobody is notified of it.
    """

    specversion: Literal["1.0"]
    id: Identifier
    source: Annotated[str, Meta(min_length=1, max_length=1024, extra_json_schema=STORABLE_SCHEMA)]
    type: str
    subject: _PrintableId
    time: Annotated[datetime, Meta(tz=True)]
    data: Data
    data_base64: str | UnsetType | None = UNSET
    """Instead of `data`: the same JSON as base64, as some producers write data that they hold as bytes."""
    datacontenttype: _JsonType | None = None
    backfill: bool = False


class Decoded(Struct, frozen=True, gc=False):
    """An event, the hash of its identity (source, id), and whether it is loaded history."""

    event: Event
    identity: int
    backfill: bool


def decode_structured(signal: Signal, value: bytes, taken_at: int) -> Decoded:
    """Decode a structured-mode CloudEvent of a topic; `taken_at` is the time at which the broker received it, in
    microseconds.

    Raises `InvalidEventError`.
    """
    try:
        envelope = _FORMS[signal].decoder.decode(value)
        unstorable = find_unstorable(value)
    except UNDECODABLE as error:
        if str(error) == _NO_DATA:
            return _finish(signal, _from_base64(signal, value), taken_at)
        raise _explain(error, value, signal) from None
    if unstorable:
        raise InvalidEventError(unstorable.path or "event", unstorable.problem)
    return _finish(signal, envelope, taken_at)


def decode_binary(signal: Signal, headers: Mapping[str, str], value: bytes, taken_at: int) -> Decoded:
    """Decode a binary-mode CloudEvent: attributes in `ce_` headers, `data` in the value. Raises `InvalidEventError`."""
    attributes: dict[str, Any] = {
        name[3:]: text for name, text in headers.items() if name.startswith("ce_") and name != "ce_backfill"
    }
    if "content-type" in headers:
        attributes["datacontenttype"] = headers["content-type"]
    attributes["backfill"] = headers.get("ce_backfill", "").lower() == "true"
    try:
        attributes["data"] = msgspec.json.decode(value)
        envelope = msgspec.convert(attributes, _FORMS[signal].envelope)
        unstorable = find_unstorable(value)
    except UNDECODABLE as error:
        raise _explain(error, value, signal, "data") from None
    if unstorable:
        raise InvalidEventError(f"data.{unstorable.path}".rstrip("."), unstorable.problem)
    for name, text in attributes.items():
        if isinstance(text, str) and (problem := unstorable_problem(text)):
            raise InvalidEventError(name, problem)
    return _finish(signal, envelope, taken_at)


def _from_base64(signal: Signal, value: bytes) -> Envelope[Any]:
    """The envelope of an event without `data`, whose `data_base64` must contain it as JSON."""
    try:
        attributes: dict[str, Any] = msgspec.json.decode(value)
        unstorable = find_unstorable(value)
    except UNDECODABLE as error:  # in a part skipped until here, such as an extension
        raise _explain(error, value, signal) from None
    if unstorable:
        raise InvalidEventError(unstorable.path or "event", unstorable.problem)
    encoded = attributes.pop("data_base64", None)
    if encoded is None:
        raise InvalidEventError("data", _NO_DATA)
    if not isinstance(encoded, str):
        raise InvalidEventError("data_base64", "must be text")
    try:
        data = base64.b64decode(encoded, validate=True)
    except ValueError:
        raise InvalidEventError("data_base64", "is not base64") from None
    try:
        attributes["data"] = msgspec.json.decode(data)
        unstorable = find_unstorable(data)
    except UNDECODABLE as error:
        raise InvalidEventError("data_base64", f"must decode to JSON: {error}") from None
    if unstorable:
        raise InvalidEventError("data_base64", unstorable.problem)
    try:
        envelope: Envelope[Any] = msgspec.convert(attributes, _FORMS[signal].envelope)
    except msgspec.ValidationError as error:
        raise _explain(error, value, signal) from None
    return envelope


def signal_of(event_type: object) -> Signal:
    """The signal that an event type belongs to. Raises `InvalidEventError`."""
    for signal, form in _FORMS.items():
        if form.type == event_type:
            return signal
    known = ", ".join(form.type for form in _FORMS.values())
    raise InvalidEventError("type", f"{repr(event_type)[:100]} is unknown; send one of {known}")


def type_of(signal: Signal) -> str:
    """The event type of a signal."""
    return _FORMS[signal].type


def envelope_of(signal: Signal) -> Any:
    """The type that a signal's events are decoded as."""
    return _FORMS[signal].envelope


def data_of(signal: Signal) -> type[Struct]:
    """The type of `data` in a signal's events."""
    data: type[Struct] = get_args(_FORMS[signal].envelope)[0]
    return data


_NO_DATA = "Object missing required field `data`"
"""msgspec's message if only `data` is missing."""

UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""msgspec's errors for unusable JSON: text that isn't UTF-8, and deep nesting, raise their own."""

_BAD_BYTE = re.compile(r"\(byte (\d+)\)")
_JSON_KEY = re.compile(rb'"([^"\\]{1,64})"\s*:')


def _explain(error: Exception, value: bytes, signal: Signal, at: str = "") -> InvalidEventError:
    """Translate msgspec's error, with the field at fault: if the value isn't JSON, the key before the bad byte.

    `at` is the place of the value in the event.
    """
    if isinstance(error, msgspec.ValidationError):
        return InvalidEventError(*fault_of(error, "event", _FORMS[signal].envelope))
    if isinstance(error, RecursionError):
        return InvalidEventError("event", "is not JSON that can be read: it is nested too deeply")
    if half := find_lone_surrogate(value):
        return InvalidEventError(f"{at}.{half.path}".strip(".") or "event", half.problem)
    message = str(error)
    position = _BAD_BYTE.search(message)
    keys = _JSON_KEY.findall(value[: int(position.group(1))]) if position else []
    return InvalidEventError(keys[-1].decode(errors="replace") if keys else "event", f"is not JSON: {message}")


def _finish(signal: Signal, envelope: Envelope[Any], taken_at: int) -> Decoded:
    form = _FORMS[signal]
    if envelope.type != form.type:
        raise InvalidEventError("type", f"{envelope.type[:100]!r} is not accepted here; send {form.type}")
    subject = envelope.subject
    if not subject.isprintable() and (problem := unprintable_problem(subject)) is not None:
        raise InvalidEventError("subject", problem)
    content_type = envelope.datacontenttype
    if content_type is not None and "json" not in content_type.lower():
        raise InvalidEventError("datacontenttype", "data must be application/json")
    if envelope.data_base64 is not UNSET and envelope.data_base64 is not None:
        raise InvalidEventError("data_base64", "goes without data: give one of the two")
    at, day = _instant("time", envelope.time)
    if at > taken_at + MAX_AHEAD:
        raise AheadError("time", "lies more than 5 minutes in the future")
    source = envelope.source
    identity = xxh3_64_intdigest(f"{len(source)}:{source}{envelope.id}".encode())
    return Decoded(form.build(envelope, at, day, taken_at // MICROSECONDS_PER_DAY), identity, envelope.backfill)


def _instant(field: str, moment: datetime) -> tuple[int, int]:
    """The instant in microseconds, and its day. A time zone's offset may move a valid time out of the calendar."""
    instant = to_micros_and_day(moment)
    if not _FIRST_DAY <= instant[1] <= _LAST_DAY:
        raise InvalidEventError(field, "lies outside the years 1 to 9999 of UTC")
    return instant


def _usage(envelope: Envelope[UsageData], at: int, day: int, broker_day: int) -> Event:
    data = envelope.data
    user = None if data.user_id is None else xxh3_64_intdigest(data.user_id.encode())
    feature = intern(data.feature)  # hundreds of thousands of waiting events share a few names
    return UsageEvent(
        envelope.subject,
        at,
        day,
        broker_day,
        feature,
        user,
        data.quantity,
        envelope.id,
        intern(envelope.source),
    )


def _ticket(envelope: Envelope[TicketData], at: int, _: int, broker_day: int) -> Event:
    data = envelope.data
    return TicketEvent(
        account_id=envelope.subject,
        at=at,
        broker_day=broker_day,
        id=envelope.id,
        ticket_id=data.ticket_id,
        status=data.status,
        priority=data.priority,
        created_at=_instant("data.created_at", data.created_at)[0],
        solved_at=0 if data.solved_at is None else _instant("data.solved_at", data.solved_at)[0],
        reopens=data.reopens,
        satisfaction=data.satisfaction or "",
        source=envelope.source,
    )


_MILLION = 1_000_000
_SCALES = {
    "nps": (0, 10 * _MILLION),
    "csat": (LOWEST, 5 * _MILLION),
    "ces": (LOWEST, 7 * _MILLION),
}
"""The default ends of scales, in millionths."""


def _scale(data: SurveyData) -> tuple[int, int]:
    """Both ends of an answer's scale, in millionths; ends that are equal in millionths make no scale."""
    usual = _SCALES[data.survey]
    lowest = usual[0] if data.scale_min is None else round(data.scale_min * _MILLION)
    highest = usual[1] if data.scale_max is None else round(data.scale_max * _MILLION)
    at_fault = "data.scale_min" if data.scale_max is None else "data.scale_max"
    if data.survey == "nps" and (lowest, highest) != usual:
        at_fault = "data.scale_min" if lowest != usual[0] else "data.scale_max"
        raise InvalidEventError(at_fault, "nps is asked on a scale of 0 to 10")
    if lowest >= highest:
        ends = f"is {lowest / _MILLION:g} to {highest / _MILLION:g}"
        raise InvalidEventError(at_fault, f"scale_max must be above scale_min; the scale {ends}")
    return lowest, highest


def _survey(envelope: Envelope[SurveyData], at: int, _: int, broker_day: int) -> Event:
    data = envelope.data
    lowest, highest = _scale(data)
    in_millionths = data.score * _MILLION  # may overflow to infinity
    score = round(in_millionths) if math.isfinite(in_millionths) else highest + 1
    is_whole = data.survey != "nps" or data.score.is_integer()
    if not (lowest <= score <= highest and is_whole):
        kind = "a whole number, " if data.survey == "nps" else ""
        span = f"{lowest / _MILLION:g} to {highest / _MILLION:g}"
        raise InvalidEventError("data.score", f"must be {kind}{span} for {data.survey}")
    known = data.respondent_id is not None
    respondent = f"respondent:{data.respondent_id}" if known else f"response:{data.response_id}"
    return SurveyEvent(
        account_id=envelope.subject,
        at=at,
        broker_day=broker_day,
        id=envelope.id,
        survey=data.survey,
        respondent=xxh3_64_intdigest(respondent.encode()),
        score=score,
        scale_max=highest,
        scale_min=lowest,
        source=envelope.source,
    )


_CENT = Decimal("0.01")
_ZERO = Decimal(0)


def _attributes(envelope: Envelope[AttributesData], at: int, _: int, broker_day: int) -> Event:
    values: dict[str, AttributeValue] = {}
    for name in AttributesData.__struct_fields__:
        value = getattr(envelope.data, name)
        if value is UNSET:
            continue
        if isinstance(value, str) and (problem := unprintable_problem(value)) is not None:
            raise InvalidEventError(f"data.{name}", problem)
        if isinstance(value, Decimal) and not (value.is_finite() and 0 <= value <= MOST_MONEY):
            raise InvalidEventError(f"data.{name}", f"must be 0 to {MOST_MONEY:,}")
        values[name] = _canonical(value)
    return AttributesEvent(envelope.subject, at, broker_day, envelope.id, values, envelope.source)


def _canonical(value: str | int | Decimal | date | None) -> AttributeValue:
    if isinstance(value, Decimal):
        return str(value.quantize(_CENT) + _ZERO)  # adding zero turns -0 into 0
    return value.isoformat() if isinstance(value, date) else value


class _Form(Struct, frozen=True):
    """The type, schema and decoder of one signal's events."""

    type: str
    envelope: Any
    build: Callable[[Any, int, int, int], Event]
    """Builds the event of an envelope, its time in microseconds, its day, and the broker's day."""
    decoder: msgspec.json.Decoder[Any]


def _form(event_type: str, envelope: Any, build: Callable[[Any, int, int, int], Event]) -> _Form:
    return _Form(event_type, envelope, build, msgspec.json.Decoder(envelope))


_FORMS: dict[Signal, _Form] = {
    "usage": _form("usage.recorded", Envelope[UsageData], _usage),
    "ticket": _form("ticket.changed", Envelope[TicketData], _ticket),
    "survey": _form("survey.answered", Envelope[SurveyData], _survey),
    "account": _form("account.changed", Envelope[AttributesData], _attributes),
}


def now_micros() -> int:
    """The current time in microseconds."""
    return to_micros(datetime.now(UTC))

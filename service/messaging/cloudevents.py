"""Strict decoding of CloudEvents 1.0, in structured and binary mode, into typed events.

The sender of an unusable event learns which field is at fault and what is allowed there.
"""

import base64
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, get_args

import msgspec
from msgspec import UNSET, Struct
from xxhash import xxh3_64_intdigest

from scoring.scorecards.validation_errors import fault_of
from scoring.state.calendar import MICROSECONDS_PER_DAY, to_micros
from scoring.state.events import Event
from service.messaging.envelope import AttributesData, Envelope, InvalidEventError, SurveyData, TicketData, UsageData
from service.messaging.event_builders import build_attributes, build_survey, build_ticket, build_usage, instant_of
from service.runtime.settings import Signal
from service.runtime.text import find_lone_surrogate, find_unstorable, unprintable_problem, unstorable_problem

MAX_AHEAD = 5 * 60 * 1_000_000
"""The most microseconds that an event may be dated ahead of the broker's clock."""


class AheadError(InvalidEventError):
    """An event that is dated ahead of the time at which the broker received it."""


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
    at, day = instant_of("time", envelope.time)
    if at > taken_at + MAX_AHEAD:
        raise AheadError("time", "lies more than 5 minutes in the future")
    source = envelope.source
    identity = xxh3_64_intdigest(f"{len(source)}:{source}{envelope.id}".encode())
    return Decoded(form.build(envelope, at, day, taken_at // MICROSECONDS_PER_DAY), identity, envelope.backfill)


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
    "usage": _form("usage.recorded", Envelope[UsageData], build_usage),
    "ticket": _form("ticket.changed", Envelope[TicketData], build_ticket),
    "survey": _form("survey.answered", Envelope[SurveyData], build_survey),
    "account": _form("account.changed", Envelope[AttributesData], build_attributes),
}


def now_micros() -> int:
    """The current time in microseconds."""
    return to_micros(datetime.now(UTC))

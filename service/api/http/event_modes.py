"""The modes of CloudEvents over HTTP: one structured event, a batch of them, or one in binary mode, whose attributes
are headers. All of them become structured events, as they go to Kafka.
"""

import re
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

import msgspec
from fastapi import Request
from msgspec import Raw

from service.api.http.problems import FieldError, ProblemError, invalid
from service.api.http.request_bodies import JSON, require_plain
from service.messaging.cloudevents import UNDECODABLE
from service.runtime.text import find_lone_surrogate

ONE = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
MOST_EVENTS = 1_000

_PREFIX = "ce-"
_VERSION = b"ce-specversion"
_ESCAPED = re.compile(rb"\\(.)")
_batch = msgspec.json.Decoder(list[Raw])


class SentEvent(NamedTuple):
    """An event as it arrived: `at` is its place in the batch, and `prefix` the name under which its attributes are
    sent.
    """

    at: str
    value: bytes
    prefix: str = ""

    def field(self, name: str) -> str:
        """The path of a field at fault, as the sender wrote it."""
        is_header = self.prefix and not name.startswith("data") and name != "event"
        return f"{self.at}.{self.prefix if is_header else ''}{name}".lstrip(".")


async def read_events(request: Request) -> list[SentEvent]:
    """The events of a request; 415 for an unknown media type, 422 if it can't be parsed."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_binary = any(name == _VERSION for name, _ in request.scope["headers"]) and media_type not in (ONE, BATCH)
    if media_type in (ONE, BATCH, JSON) or (is_binary and (not media_type or _is_json(media_type))):
        require_plain(request)
        raw = await request.body()
    else:
        raise ProblemError(415, f"Send it with Content-Type {ONE}, {BATCH} or {JSON}; data must be JSON.")
    if is_binary:
        return [SentEvent("", _structured(request.scope["headers"], raw, media_type), _PREFIX)]
    if media_type == BATCH or (media_type == JSON and raw.lstrip()[:1] == b"["):
        return [SentEvent(f"[{index}]", bytes(event)) for index, event in enumerate(_split(raw))]
    return [SentEvent("", raw)]


def _is_json(media_type: str) -> bool:
    return media_type.endswith(("/json", "+json"))


def _split(raw: bytes) -> list[Raw]:
    try:
        events = _batch.decode(raw)
    except UNDECODABLE as error:
        raise invalid(FieldError("body", f"is not a JSON array: {error}")) from None
    if len(events) > MOST_EVENTS:
        raise invalid(FieldError("body", f"holds {len(events):,} events; send at most {MOST_EVENTS:,} at once"))
    return events


def _structured(headers: list[tuple[bytes, bytes]], raw: bytes, media_type: str) -> bytes:
    event: dict[str, Any] = {}
    for header, value in headers:
        name = header.decode("latin-1")
        attribute = name.removeprefix(_PREFIX)
        if attribute == name:
            continue
        if attribute in event:
            raise invalid(FieldError(name, "is given twice"))
        event[attribute] = _text(name, value)
    if "backfill" in event:
        event["backfill"] = event["backfill"].lower() == "true"
    if media_type:
        event["datacontenttype"] = media_type
    event.pop("data", None)
    try:
        msgspec.json.decode(raw)  # else it would be part of another text
    except UNDECODABLE as error:
        if half := find_lone_surrogate(raw):
            raise invalid(FieldError(f"data.{half.path}".rstrip("."), half.problem)) from None
        raise invalid(FieldError("data", f"is not JSON: {error}")) from None
    return msgspec.json.encode({**event, "data": Raw(raw)})


def _text(name: str, value: bytes) -> str:
    """A header's value: percent-encoded unless it is plain ASCII, and possibly in quotes, as the specification says."""
    if len(value) > 1 and value[:1] == value[-1:] == b'"':
        value = _ESCAPED.sub(rb"\1", value[1:-1])
    try:
        return unquote_to_bytes(value).decode()
    except UnicodeDecodeError:
        raise invalid(FieldError(name, "must be UTF-8, percent-encoded")) from None

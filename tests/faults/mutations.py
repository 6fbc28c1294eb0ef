"""Records gone wrong, made of a seed: good ones with a few bytes, values, attributes or headers changed at random."""

import json
from collections import deque
from collections.abc import Callable
from datetime import datetime
from random import Random
from typing import Any

from tests.faults.stream import Sent, Stream

_UNTOUCHED = 0.15
"""The share of undamaged records: it keeps consumers busy, and shows that good records beside damaged ones count."""

_ODD_WORDS = (
    "",
    " ",
    "\x00",
    "a\x00b",
    "\u202eacme",
    "é" * 128,
    "😀" * 70,
    "x" * 257,
    "x" * 3000,
    "'; DROP TABLE scores; --",
    "../../etc/passwd",
    "null",
    "1",
    "1.0",
    "2026-02-30T00:00:00Z",
    "2026-01-01T00:00:00",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59",
    "2016-12-31T23:59:60Z",
    "2026-01-01t00:00:00.123456789z",
    "0000-00-00",
    "Infinity",
    "usage.recorded",
    "ticket.changed",
)
_ODD_VALUES: tuple[Any, ...] = (
    *_ODD_WORDS,
    None,
    True,
    False,
    0,
    -1,
    1.5,
    2**31,
    2**63,
    -(2**63) - 1,
    10**400,
    1e308,
    [],
    {},
    [[]],
    [None] * 100,
    {"": ""},
    {"feature": "login"},
)
_NESTED = "[" * 3000
_ODD_TEXTS = ("NaN", "-Infinity", "1e999", "1e-999999999", "01", "-0", '"\\ud800"', '"\\u0000"', "tru", _NESTED)
"""Texts that no JSON library writes, put in the place of a value."""
_ODD_BYTES = (b"", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\x80", b"\xc0\xaf", b"\xed\xa0\x80", b'"', b"\\", b"}")
_ODD_TIMESTAMPS = (0, 1, 10**12, 2 * 10**9, 25 * 10**11, 2 * 10**15, 2 * 10**18, 2**62)
"""1970, 2001 and 2049 in milliseconds, and what others count in; none is near enough to now for a clock to matter."""
_HOLE = "c0ffee-hole"


class Mutations:
    """An endless stream of them; the same seed and start give the same one."""

    def __init__(self, seed: int, start: datetime) -> None:
        """No event is dated after `start`, unless its time was changed."""
        self._chance = Random(seed)
        self._stream = Stream(seed, start)
        self._earlier: deque[Sent] = deque(maxlen=1000)

    def take(self, count: int) -> list[Sent]:
        """The next records."""
        return [self._next(good) for good in self._stream.take(count)]

    def _next(self, good: Sent) -> Sent:
        self._earlier.append(good)
        good = good._replace(headers=())
        if self._chance.random() < _UNTOUCHED:
            return good
        spoiled = good
        for _ in range(self._chance.choice((1, 1, 1, 2, 3))):
            kinds = _WAYS if spoiled.value is not None else _WAYS_WITHOUT_VALUE
            spoiled = self._chance.choice(kinds)(self._chance, spoiled, self._earlier)
        return spoiled


Way = Callable[[Random, Sent, deque[Sent]], Sent]


# --- Bytes ------------------------------------------------------------------------------------------------------


def _change_bytes(chance: Random, record: Sent, _: deque[Sent]) -> Sent:
    value = bytearray(record.value or b"")
    for _n in range(chance.choice((1, 1, 2, 8))):
        if value:
            value[chance.randrange(len(value))] = chance.randrange(256)
    return record._replace(value=bytes(value))


def _cut(chance: Random, record: Sent, _: deque[Sent]) -> Sent:
    value = record.value or b""
    start, end = sorted(chance.randrange(len(value) + 1) for _n in range(2))
    return record._replace(value=chance.choice((value[:start], value[start:], value[:start] + value[end:])))


def _insert(chance: Random, record: Sent, _: deque[Sent]) -> Sent:
    value = record.value or b""
    at = chance.randrange(len(value) + 1)
    odd = chance.choice((*_ODD_BYTES, chance.randbytes(chance.randrange(40))))
    return record._replace(value=value[:at] + odd + value[at:])


def _splice(chance: Random, record: Sent, earlier: deque[Sent]) -> Sent:
    value, other = record.value or b"", chance.choice(earlier).value or b""
    return record._replace(value=value[: chance.randrange(len(value) + 1)] + other[chance.randrange(len(other) + 1) :])


def _recode(chance: Random, record: Sent, _: deque[Sent]) -> Sent:
    text = (record.value or b"").decode(errors="replace")
    return record._replace(value=text.encode(chance.choice(("utf-16", "utf-32-le", "utf-8-sig", "utf-7"))))


def _grow(chance: Random, record: Sent, _: deque[Sent]) -> Sent:
    return record._replace(value=(record.value or b"") + b" " * chance.choice((1, 4000, 5000)))


def _drop_value(chance: Random, record: Sent, _: deque[Sent]) -> Sent:
    return record._replace(value=chance.choice((None, b"", chance.randbytes(chance.randrange(300)))))


# --- The event --------------------------------------------------------------------------------------------------


def _event_of(record: Sent) -> dict[str, Any] | None:
    """The JSON object in the record's value; None if it no longer is one."""
    try:
        event = json.loads(record.value or b"")
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) else None


def _on_the_event(change: Callable[[Random, dict[str, Any]], None]) -> Way:
    """A change within the JSON of a record; one that no longer is JSON stays as it is."""

    def way(chance: Random, record: Sent, _: deque[Sent]) -> Sent:
        event = _event_of(record)
        if event is None:
            return record
        change(chance, event)
        return record._replace(value=json.dumps(event, ensure_ascii=chance.random() < 0.5).encode(errors="replace"))

    return way


def _place(chance: Random, event: dict[str, Any]) -> dict[str, Any]:
    """The envelope or its data."""
    data = event.get("data")
    return data if isinstance(data, dict) and chance.random() < 0.6 else event


def _name(chance: Random, place: dict[str, Any]) -> str:
    return chance.choice(list(place) or ["data"])


def _put_odd(chance: Random, event: dict[str, Any]) -> None:
    place = _place(chance, event)
    place[_name(chance, place)] = chance.choice(_ODD_VALUES)


def _remove(chance: Random, event: dict[str, Any]) -> None:
    place = _place(chance, event)
    place.pop(_name(chance, place), None)


def _rename(chance: Random, event: dict[str, Any]) -> None:
    place = _place(chance, event)
    name = _name(chance, place)
    place[chance.choice((name.upper(), f"{name} ", f"{name}\x00", "", "__class__"))] = place.pop(name, None)


def _add(chance: Random, event: dict[str, Any]) -> None:
    name = chance.choice(("backfill", "datacontenttype", "data_base64", "traceparent", "scale_max", "comment", "seats"))
    _place(chance, event)[name] = chance.choice(_ODD_VALUES)


def _wrap(chance: Random, event: dict[str, Any]) -> None:
    place = _place(chance, event)
    name = _name(chance, place)
    place[name] = chance.choice(([place.get(name)], {name: place.get(name)}, str(place.get(name))))


def _put_text(chance: Random, record: Sent, earlier: deque[Sent]) -> Sent:
    def mark(chance: Random, event: dict[str, Any]) -> None:
        place = _place(chance, event)
        place[_name(chance, place)] = _HOLE

    marked = _on_the_event(mark)(chance, record, earlier)
    return marked._replace(
        value=(marked.value or b"").replace(f'"{_HOLE}"'.encode(), chance.choice(_ODD_TEXTS).encode())
    )


def _say_twice(chance: Random, record: Sent, _: deque[Sent]) -> Sent:
    value = record.value or b""
    twice = f'{{"subject": {json.dumps(chance.choice(_ODD_WORDS))}, '.encode()
    return record._replace(value=twice + value[1:])


# --- Headers, key, topic ----------------------------------------------------------------------------------------


def _to_binary(chance: Random, record: Sent, _: deque[Sent]) -> Sent:
    """Binary mode, in which an attribute or two may be missing or odd."""
    event = _event_of(record)
    if event is None:
        return record
    data = event.pop("data", None)
    headers = [(_sendable(f"ce_{name}"), str(value).encode(errors="replace")) for name, value in event.items()]
    headers.append(("content-type", chance.choice((b"application/json", b"text/plain", b"", b"\xff"))))
    if chance.random() < 0.5:
        headers[chance.randrange(len(headers))] = (
            chance.choice(("ce_id", "CE_TIME", "ce_")),
            chance.choice(_ODD_BYTES),
        )
    return record._replace(value=json.dumps(data).encode(errors="replace"), headers=tuple(headers))


def _sendable(name: str) -> str:
    return name.encode(errors="replace").decode()


def _add_headers(chance: Random, record: Sent, _: deque[Sent]) -> Sent:
    names = ("ce_specversion", "content-type", "ce_backfill", "traceparent", "", "é", "x" * 300)
    more = tuple((chance.choice(names), chance.choice((*_ODD_BYTES, None))) for _n in range(chance.randrange(1, 4)))
    return record._replace(headers=record.headers + more)


def _change_headers(chance: Random, record: Sent, _: deque[Sent]) -> Sent:
    """Values that are null, other bytes or another header's, and names twice, in capitals or with NUL."""
    headers = list(record.headers) or [("ce_specversion", b"1.0"), ("traceparent", None)]
    for _n in range(chance.randrange(1, 4)):
        at = chance.randrange(len(headers))
        name, value = headers[at]
        name = chance.choice((name, name, name.upper(), f"{name}\x00", "\\u0000"))
        headers[at] = (name, chance.choice((None, None, value, chance.choice(headers)[1], chance.randbytes(9))))
        if chance.random() < 0.3:
            headers.insert(at, chance.choice(headers))
    return record._replace(headers=tuple(headers))


def _change_key(chance: Random, record: Sent, _: deque[Sent]) -> Sent:
    return record._replace(key=chance.choice((b"", b"\xff\x00", b"somebody else", chance.randbytes(300), None)))


def _change_topic(chance: Random, record: Sent, _: deque[Sent]) -> Sent:
    return record._replace(signal=chance.choice(("usage", "ticket", "survey", "account")))


def _change_timestamp(chance: Random, record: Sent, _: deque[Sent]) -> Sent:
    return record._replace(timestamp_ms=chance.choice(_ODD_TIMESTAMPS))


_WAYS: tuple[Way, ...] = (
    _change_bytes,
    _cut,
    _insert,
    _splice,
    _recode,
    _grow,
    _drop_value,
    *[_on_the_event(change) for change in (_put_odd, _put_odd, _put_odd, _remove, _rename, _add, _wrap)],
    _put_text,
    _say_twice,
    _to_binary,
    _to_binary,
    _add_headers,
    _change_headers,
    _change_key,
    _change_topic,
    _change_timestamp,
)
_WAYS_WITHOUT_VALUE: tuple[Way, ...] = (_insert, _add_headers, _change_headers, _change_topic)

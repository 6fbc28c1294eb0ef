"""A dead letter as text for a terminal. Its contents can't control the terminal."""

import base64
from collections.abc import Iterator
from datetime import datetime

from service.storage.ingest.dead_letter_listing import DeadLetter
from service.storage.ingest.dead_letters import header_from_text


def line(text: str) -> str:
    """The text on one line, with what isn't printable as escapes."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def lines(letter: DeadLetter) -> Iterator[str]:
    """All that is known of a dead letter, its value last."""
    facts = {
        "id": str(letter.id),
        "reason": letter.reason,
        "topic": letter.topic,
        "partition": str(letter.partition),
        "offset": str(letter.offset),
        "recorded": _moment(letter.recorded_at),
        "refused": _moment(letter.created_at),
        "replayed": _moment(letter.replayed_at),
        "relayed": _moment(letter.relayed_at),
        "account": letter.account_id or "-",
        "key": _readable(letter.key),
    }
    for name, value in facts.items():
        yield f"{name + ':':<11}{line(value)}"
    for name, value in letter.headers:
        yield f"header:    {line(name)}: {line(_readable(header_from_text(value)))}"
    size = "" if letter.value is None else f" ({len(letter.value):,} bytes)"
    yield f"value{size}:"
    for part in _readable(letter.value).split("\n"):
        yield line(part)


def _moment(moment: datetime | None) -> str:
    return moment.isoformat(timespec="seconds") if moment else "no"


def _readable(raw: bytes | None) -> str:
    if raw is None:
        return "none"
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return f"{base64.b64encode(raw).decode()} (base64)"

"""Publishes dead letters again: replayed to their own topics, or relayed to dead-letter topics."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from service.messaging.publisher import Publisher, RawRecord
from service.messaging.topics import dead_letter_topic
from service.storage.ingest import dead_letters
from service.storage.ingest.dead_letter_listing import DeadLetter
from service.storage.ingest.dead_letters import header_from_text


def replay_problem(letter: DeadLetter, max_record_bytes: int) -> str | None:
    """The reason why replaying a dead letter would only create another one; None if none is known."""
    if letter.value is None:
        return "it has no value"
    if len(letter.value) > max_record_bytes:
        return f"its value has {len(letter.value):,} bytes, and HEALTH_MAX_RECORD_BYTES is {max_record_bytes:,}"
    return None


async def replay(engine: AsyncEngine, publisher: Publisher, letters: Sequence[DeadLetter], now: datetime) -> None:
    """Publish the original records again, then note that. Raises `NotPublishedError`.

    If only the note is lost, they are published again at the next try, and still count once: by `source` and `id`.
    """
    await publisher.publish([_original_record(letter) for letter in letters])
    async with engine.begin() as connection:
        await dead_letters.mark_replayed(connection, [letter.id for letter in letters], now)


def relay_records(letter: DeadLetter) -> list[RawRecord]:
    """The records for the dead-letter topic: the original with the refusal in headers, then ever smaller forms of it.

    A smaller one is for when the one before is too large for the topic; it says what was left out, which Postgres keeps
    under the id.
    """
    topic = dead_letter_topic(letter.topic)
    story = _refusal_headers(letter)
    headers = _headers(letter)
    return [
        RawRecord(topic, letter.key, letter.value, [*headers, *story]),
        RawRecord(topic, letter.key, None, [*headers, *story, _left_out("value")]),
        RawRecord(topic, None, None, [*story, _left_out("key, value, headers")]),
    ]


def _original_record(letter: DeadLetter) -> RawRecord:
    # Into its old partition: duplicates are recognised per partition, and a record without a key could go anywhere.
    return RawRecord(letter.topic, letter.key, letter.value, _headers(letter), letter.partition)


def _headers(letter: DeadLetter) -> list[tuple[str, bytes | None]]:
    return [(name, header_from_text(value)) for name, value in letter.headers]


def _refusal_headers(letter: DeadLetter) -> list[tuple[str, bytes]]:
    story = {
        "id": str(letter.id),
        "reason": letter.reason[:1000],
        "topic": letter.topic,
        "partition": str(letter.partition),
        "offset": str(letter.offset),
        "timestamp": letter.recorded_at.isoformat(),
    }
    return [(f"health-dead-letter-{name}", value.encode()) for name, value in story.items()]


def _left_out(what: str) -> tuple[str, bytes]:
    return "health-dead-letter-left-out", what.encode()

"""The relay: dead letters are published to `<topic>.dead-letters`, for tools that look there."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from service import metrics
from service.dead_letters import relayed_forms
from service.probes import Pulse
from service.publishing import NotPublishedError, Publisher, RecordTooLargeError
from service.resting import rest
from service.settings import Settings
from service.storage import dead_letter_lists, dead_letters
from service.storage.dead_letter_lists import DeadLetter
from service.storage.transient import persistently

log = structlog.get_logger(__name__)

MOST_BYTES = 64 * 1024 * 1024
"""What a client must refuse by itself; below, the topic's own limit says what is too large."""
NOT_RELAYED = "dead letters can't be published to their topics"
IDLE_SECONDS = 1.0
LONGEST_WAIT = 30.0


async def run(engine: AsyncEngine, settings: Settings, pulse: Pulse, stop: asyncio.Event) -> None:
    """Relay until `stop` is set, through outages of Postgres and of Kafka: at least once, and the oldest first.

    Several relays share the work: each passes over what another holds.
    """
    publisher = Publisher(settings, most_bytes=MOST_BYTES)
    wait = IDLE_SECONDS
    try:
        while not stop.is_set():
            relayed, failed = await _round(engine, settings, publisher, pulse, stop)
            pulse.beat(NOT_RELAYED if failed else "")
            wait = min(wait * 2, LONGEST_WAIT) if failed else IDLE_SECONDS
            if failed or not relayed:
                await rest(stop, wait)
    finally:
        await publisher.stop()


async def _round(
    engine: AsyncEngine, settings: Settings, publisher: Publisher, pulse: Pulse, stop: asyncio.Event
) -> tuple[int, bool]:
    """Relay some of every topic: how many, and whether any can't be published, which stops no other topic."""
    relayed, failed = 0, False
    for topic in settings.topics.values():
        if stop.is_set():
            break
        turn = await _turn(engine, publisher, topic, pulse)
        relayed += turn or 0
        failed = failed or turn is None
    return relayed, failed


async def _turn(engine: AsyncEngine, publisher: Publisher, topic: str, pulse: Pulse) -> int | None:
    """Relay some of a topic: how many; None if they can't be published."""
    try:
        return await persistently(
            partial(relay_once, engine, publisher, topic),
            "relaying dead letters",
            waiting=pulse.beat,
        )
    except NotPublishedError as error:
        log.warning(
            "dead_letters_not_relayed",
            topic=topic,
            reason=str(error),
            remedy="Check that Kafka runs, then run: account-health topics create",
        )
        return None


async def relay_once(engine: AsyncEngine, publisher: Publisher, topic: str) -> int:
    """Relay the oldest dead letters of a topic, in one transaction; returns how many. Raises `NotPublishedError`."""
    async with engine.begin() as connection:
        claimed = await dead_letters.claim_unrelayed(connection, topic)
        if not claimed:
            return 0
        bite = next(dead_letter_lists.bites(claimed))
        await _publish(publisher, await dead_letter_lists.read(connection, bite))
        await dead_letters.mark_relayed(connection, bite, datetime.now(UTC))
    metrics.RELAYED.labels(topic).inc(len(bite))
    return len(bite)


async def _publish(publisher: Publisher, letters: Sequence[DeadLetter]) -> None:
    try:
        await publisher.publish([relayed_forms(letter)[0] for letter in letters])
    except RecordTooLargeError:
        # Kafka doesn't say which; those it took are published twice.
        for letter in letters:
            await _publish_what_fits(publisher, letter)


async def _publish_what_fits(publisher: Publisher, letter: DeadLetter) -> None:
    *forms, smallest = relayed_forms(letter)
    for form in forms:
        try:
            await publisher.publish([form])
        except RecordTooLargeError as error:
            log.warning("dead_letter_shortened", id=letter.id, topic=letter.topic, reason=str(error))
        else:
            return
    await publisher.publish([smallest])

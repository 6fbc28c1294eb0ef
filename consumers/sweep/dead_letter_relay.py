"""The relay: publishes dead letters to `<topic>.dead-letters`, for tools that read them there."""

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from consumers.sweep.side_jobs import run_side_job
from service.messaging.dead_letter_replay import relay_records
from service.messaging.publisher import NotPublishedError, Publisher, RecordTooLargeError
from service.observability import metrics
from service.observability.probes import Pulse
from service.runtime.batch_size import BatchSize
from service.runtime.settings import Settings
from service.runtime.tasks import sleep_unless_stopped
from service.storage.database.errors import is_poison
from service.storage.database.retry import retry_while_transient, took_too_long, trouble
from service.storage.ingest import dead_letter_listing, dead_letters
from service.storage.ingest.dead_letter_listing import DeadLetter

log = structlog.get_logger(__name__)

MOST_BYTES = 64 * 1024 * 1024
"""The client's limit; below it, the topic's own limit decides."""
NOT_RELAYED = "dead letters can't be published to their topics"
IDLE_SECONDS = 1.0
LONGEST_WAIT = 30.0
PASSED_OVER_SECONDS = 3600.0
"""Delay before a letter that can't be relayed is tried again; a fix may have come by then."""


async def run(engine: AsyncEngine, settings: Settings, pulse: Pulse, stop: asyncio.Event) -> None:
    """Relay until `stop` is set, through outages of Postgres and of Kafka: at least once, oldest first.

    Several relays share the work: each skips letters that another holds. No failure ends it.
    """
    publisher = Publisher(settings, most_bytes=MOST_BYTES)
    topics = [Topic(engine, publisher, topic, pulse.beat) for topic in settings.topics.values()]
    wait = IDLE_SECONDS
    try:
        while not stop.is_set():
            relayed, failed = await _round(topics, pulse, stop)
            pulse.beat(NOT_RELAYED if failed else "")
            is_cut = any(topic.is_cut for topic in topics)
            wait = min(wait * 2, LONGEST_WAIT) if failed and not is_cut else IDLE_SECONDS
            if failed or not relayed:
                await sleep_unless_stopped(stop, wait)
    finally:
        await publisher.stop()


async def _round(topics: Sequence["Topic"], pulse: Pulse, stop: asyncio.Event) -> tuple[int, bool]:
    """Relay some letters of every topic; returns their number, and True if any failed. One topic's failure stops no
    other.
    """
    relayed, failed = 0, False
    for topic in topics:
        if stop.is_set():
            break
        turn = await run_side_job(partial(_turn, topic, pulse), "relaying dead letters")
        relayed += turn or 0
        failed = failed or turn is None
    return relayed, failed


async def _turn(topic: "Topic", pulse: Pulse) -> int | None:
    """Relay some letters of a topic; returns their number, or None if they can't be published."""
    try:
        return await retry_while_transient(topic.relay, "relaying dead letters", waiting=pulse.beat)
    except NotPublishedError as error:
        log.warning(
            "dead_letters_not_relayed",
            topic=topic.name,
            reason=str(error),
            remedy="Check that Kafka runs, then run: account-health topics create",
        )
        return None


class Topic:
    """The dead letters of one topic: the batch size, and the letters that are skipped."""

    def __init__(
        self, engine: AsyncEngine, publisher: Publisher, name: str, waiting: Callable[[str], None] = lambda _: None
    ) -> None:
        """`name` is the original topic; `waiting` is called with the reason before each retry."""
        self.name = name
        self.is_cut = False
        """True if the last attempt was given up and the next one is smaller."""
        self._engine = engine
        self._publisher = publisher
        self._waiting = waiting
        self._size = BatchSize(dead_letter_listing.MOST_LETTERS)
        self._passed_over: dict[int, float] = {}

    async def relay(self) -> int:
        """Relay the oldest letters in one transaction; returns the number dealt with.

        A batch that takes too long, or fails because of a letter, is retried at once at half the size; a letter that
        fails by itself is skipped for an hour. Raises `NotPublishedError`, and errors that need waiting.
        """
        now = time.monotonic()
        self._passed_over = {letter_id: until for letter_id, until in self._passed_over.items() if until > now}
        while True:
            bite: list[int] = []
            started = time.monotonic()
            try:
                await self._relay(bite)
            except Exception as error:
                self.is_cut = self._cut(bite, error)
                if isinstance(error, NotPublishedError) or not (took_too_long(error) or is_poison(error)):
                    raise
                if not self.is_cut:
                    if not bite or not is_poison(error):
                        raise
                    self._pass_over(bite[0], error)
                    return 1
            else:
                self.is_cut = False
                self._size.done(len(bite), time.monotonic() - started)
                return len(bite)

    async def _relay(self, bite: list[int]) -> None:
        """Fill `bite` with the oldest letters that others don't hold, and relay them."""
        async with self._engine.begin() as connection:
            claimed = await dead_letters.claim_unrelayed(connection, self.name, self._size.limit, self._passed_over)
            if not claimed:
                return
            bite += next(dead_letter_listing.batches(claimed))
            await _publish(self._publisher, await dead_letter_listing.read(connection, bite))
            await dead_letters.mark_relayed(connection, bite, datetime.now(UTC))
        metrics.RELAYED.labels(self.name).inc(len(bite))

    def _cut(self, bite: Sequence[int], error: Exception) -> bool:
        """Make the next attempt smaller; False if it can't be."""
        if len(bite) < 2:
            return False
        self._size.given_up(len(bite))
        self._waiting(trouble(error))
        log.warning(
            "dead_letters_bite_cut",
            topic=self.name,
            given_up=len(bite),
            limit=self._size.limit,
            reason=_reason(error),
        )
        return True

    def _pass_over(self, letter_id: int, error: Exception) -> None:
        self._passed_over[letter_id] = time.monotonic() + PASSED_OVER_SECONDS
        metrics.NOT_RELAYED.labels(self.name).inc()
        log.error(
            "dead_letter_passed_over",
            id=letter_id,
            topic=self.name,
            reason=_reason(error),
            remedy=f"Run: account-health dead-letters show {letter_id}",
            exc_info=error,
        )


def _reason(error: Exception) -> str:
    if isinstance(error, NotPublishedError):
        return str(error)
    return trouble(error) or type(error).__name__


async def _publish(publisher: Publisher, letters: Sequence[DeadLetter]) -> None:
    try:
        await publisher.publish([relay_records(letter)[0] for letter in letters])
    except RecordTooLargeError:
        # Kafka doesn't say which one; those it accepted are published twice.
        for letter in letters:
            await _publish_what_fits(publisher, letter)


async def _publish_what_fits(publisher: Publisher, letter: DeadLetter) -> None:
    *forms, smallest = relay_records(letter)
    for form in forms:
        try:
            await publisher.publish([form])
        except RecordTooLargeError as error:
            log.warning("dead_letter_shortened", id=letter.id, topic=letter.topic, reason=str(error))
        else:
            return
    await publisher.publish([smallest])

"""Loading the events of the time when the demo didn't run: all history at first, later the gap since the last run."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

from service.demo.data_folder import DemoFolder, DemoMemory
from service.demo.feed.broker_log import folded_offsets
from service.demo.feed.past import DemoPast
from service.demo.start import RunningService
from service.demo.startup_screen import Steps
from service.demo.world.customers import Customer
from service.demo.world.events import DemoEvent
from service.demo.world.history import HISTORY_DAYS, happened, introductions
from service.runtime.tasks import to_thread_uncancelled
from service.storage.ingest.progress import Partition

HISTORY = timedelta(days=HISTORY_DAYS)
LOOK_SECONDS = 0.2


async def load_missing(
    running: RunningService, folder: DemoFolder, memory: DemoMemory, customers: Sequence[Customer], steps: Steps
) -> None:
    """Bring everything up to now. If interrupted, it is repeated the next time, and nothing counts twice."""
    now = datetime.now(UTC)
    history = f"{HISTORY_DAYS} days in the life of {memory.accounts} customers"
    title = "What happened meanwhile" if memory.loaded else history
    async with AsyncExitStack() as stack:
        with steps.step(title, bar=True) as tell:
            before = [] if memory.scored else await to_thread_uncancelled(_before, memory, customers)
            past = await stack.enter_async_context(DemoPast.replaying(running, before)) if before else None
            events = await to_thread_uncancelled(_missing, memory, customers, before, now)
            words = f"{len(events):,} events"
            await _send(running, events, lambda share: tell(share, words))
        memory.loaded = True
        memory.until = now
        folder.save(memory)
        if past is not None:
            with steps.step(f"The scores of these {HISTORY_DAYS} days", bar=True) as tell:
                await past.write(tell)
            memory.scored = True
            folder.save(memory)


def _missing(
    memory: DemoMemory, customers: Sequence[Customer], before: Sequence[DemoEvent], now: datetime
) -> list[DemoEvent]:
    """The events that weren't sent yet; `before` are those before the demo began."""
    since = max(memory.until, now - HISTORY) if memory.loaded else memory.began_at
    lately = happened(customers, memory.seed, memory.began_at.date(), since, now)
    return [*(() if memory.loaded else before), *lately]


def _before(memory: DemoMemory, customers: Sequence[Customer]) -> list[DemoEvent]:
    """The events before the demo began."""
    since = memory.began_at - HISTORY
    lives = happened(customers, memory.seed, memory.began_at.date(), since, memory.began_at)
    return [*introductions(customers, since), *lives]


async def _send(running: RunningService, events: Sequence[DemoEvent], tell: Callable[[float], None]) -> None:
    """Send the events as history and wait until they are folded."""
    before = sum((await folded_offsets(running.engine)).values())
    sending = asyncio.create_task(running.producer.send(events, backfill=True))
    try:
        while not (sending.done() and await _reached(running, sending.result())):
            tell((sum((await folded_offsets(running.engine)).values()) - before) / max(len(events), 1))
            await asyncio.sleep(LOOK_SECONDS)
    finally:
        sending.cancel()


async def _reached(running: RunningService, ends: dict[Partition, int]) -> bool:
    done = await folded_offsets(running.engine)
    return all(done.get(partition, 0) >= end for partition, end in ends.items())

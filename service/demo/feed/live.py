"""Live traffic: everyday events and stories, sent as they happen."""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from service.demo.data_folder import DemoFolder, DemoMemory
from service.demo.start import RunningService
from service.demo.view.board import Board
from service.demo.world.customers import Customer, by_id
from service.demo.world.stories import Director
from service.demo.world.traffic import EverydayTraffic

TICK_SECONDS = 0.5
SAVE_SECONDS = 5.0


class LiveTraffic:
    """Sends events as they happen, and saves its progress in the folder."""

    def __init__(
        self,
        running: RunningService,
        folder: DemoFolder,
        memory: DemoMemory,
        customers: Sequence[Customer],
        board: Board,
    ) -> None:
        """Nothing is sent before `flow`."""
        self._producer = running.producer
        self._folder = folder
        self._memory = memory
        self._board = board
        self._traffic = EverydayTraffic(customers, memory.seed, memory.began_at.date())
        self._director = Director(by_id(customers), memory.troubled, time.monotonic())

    async def flow(self, rate: float) -> None:
        """Send `rate` events a second, and what stories add, until cancelled."""
        last, owed = time.monotonic(), 0.0
        try:
            while True:
                await asyncio.sleep(TICK_SECONDS)
                now = time.monotonic()
                # After the machine has slept, a burst would help nobody.
                owed = min(owed + rate * (now - last), rate * 2)
                last = now
                await self._send(int(owed), now)
                owed -= int(owed)
        finally:
            self._save(datetime.now(UTC))

    async def _send(self, count: int, now: float) -> None:
        moment = datetime.now(UTC)
        events = self._traffic.events(count, moment) + self._director.events(now, moment, self._board.scores)
        await self._producer.send(events)
        if (moment - self._memory.until).total_seconds() >= SAVE_SECONDS:
            self._save(moment)

    def _save(self, until: datetime) -> None:
        self._memory.until = until
        self._memory.troubled = self._director.troubled
        self._folder.save(self._memory)

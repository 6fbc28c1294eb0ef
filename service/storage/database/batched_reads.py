"""Reads rows by key, many at once, for the most frequent read of all."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

Row = Sequence[Any]
_Request = tuple[str, "asyncio.Future[Row | None]"]

MOST_KEYS = 64
CONNECTIONS = 2
"""Two: while one is being read from, the other's rows are being answered."""

_SETTINGS = """
    SELECT set_config('plan_cache_mode', 'force_generic_plan', false), set_config('enable_seqscan', 'off', false),
           set_config('enable_hashjoin', 'off', false), set_config('enable_mergejoin', 'off', false)
"""
"""Statements are planned once, and use indexes whatever the statistics were at that time."""


class BatchedReads:
    """Keys requested while statements are under way share the next one, which costs little more than for one key.

    Bypasses SQLAlchemy, on connections of its own and outside of transactions. Connections are not checked before use:
    the caller has another way to read if one is broken.
    """

    def __init__(self, engine: AsyncEngine, statement: str, values: Callable[[], tuple[object, ...]]) -> None:
        """`statement` takes an array of keys as `$1`, then `values`, and returns rows whose first column is the key.

        Connections are made like those of `engine`, when they are needed.
        """
        self._engine = engine
        self._statement = statement
        self._values = values
        self._asked: list[_Request] = []
        self._idle: list[tuple[Any, Any]] = []
        self._readers = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def row(self, key: str) -> Row | None:
        """The row of a key, or None. Raises the driver's errors."""
        answer: asyncio.Future[Row | None] = asyncio.get_running_loop().create_future()
        self._asked.append((key, answer))
        if self._readers < CONNECTIONS:
            self._readers += 1
            task = asyncio.create_task(self._read_all())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await answer

    async def close(self) -> None:
        """Close the connections."""
        await asyncio.gather(*self._tasks)
        while idle := self._pop_idle():
            await idle[0].close()

    async def _read_all(self) -> None:
        while self._asked:
            asked, self._asked = self._asked[:MOST_KEYS], self._asked[MOST_KEYS:]
            await self._answer(asked)
        # No other task has run since the last check: the next caller starts another reader.
        self._readers -= 1

    async def _answer(self, asked: Sequence[_Request]) -> None:
        try:
            rows = await self._read([key for key, _ in asked])
        except Exception as error:  # noqa: BLE001 - raised by those who wait for it
            for _, answer in asked:
                if not answer.done():
                    answer.set_exception(error)
            return
        for key, answer in asked:
            if not answer.done():  # the caller may be gone
                answer.set_result(rows.get(key))

    async def _read(self, keys: list[str]) -> dict[str, Row]:
        connection, prepared = self._pop_idle() or await self._connect()
        try:
            rows = await prepared.fetch(keys, *self._values())
        except BaseException:
            # Its state is unknown, and a new one costs little.
            connection.terminate()
            raise
        self._idle.append((connection, prepared))
        return {row[0]: row for row in rows}

    def _pop_idle(self) -> tuple[Any, Any] | None:
        while self._idle:
            idle = self._idle.pop()
            if not idle[0].is_closed():
                return idle
        return None

    async def _connect(self) -> tuple[Any, Any]:
        pooled = await self._engine.raw_connection()
        connection: Any = pooled.driver_connection
        pooled.detach()
        await connection.execute(_SETTINGS)
        return connection, await connection.prepare(self._statement)

"""One statement without a layer in between, for what is read more often than all the rest together."""

import asyncio
from collections.abc import Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine


class PreparedRead:
    """A statement, prepared and planned once on each of a few connections of its own, and run outside of transactions.

    One plan has to do for all values. Whether a connection is still good isn't asked first: who reads here has another
    way to go when it isn't.
    """

    def __init__(self, engine: AsyncEngine, statement: str, most: int) -> None:
        """Connections are made as `engine` makes its own, when they are needed; `most` at the same time."""
        self._engine = engine
        self._statement = statement
        self._places = asyncio.Semaphore(most)
        self._idle: list[tuple[Any, Any]] = []

    async def row(self, *values: object) -> Sequence[Any] | None:
        """The first row for the values of `$1` and so on. Raises what the driver does."""
        async with self._places:
            connection, prepared = self._take() or await self._connect()
            try:
                row: Sequence[Any] | None = await prepared.fetchrow(*values)
            except BaseException:
                # Whatever state it is in: a new one costs little.
                connection.terminate()
                raise
            self._idle.append((connection, prepared))
            return row

    async def close(self) -> None:
        """Close the connections that are idle."""
        while taken := self._take():
            await taken[0].close()

    def _take(self) -> tuple[Any, Any] | None:
        while self._idle:
            taken = self._idle.pop()
            if not taken[0].is_closed():
                return taken
        return None

    async def _connect(self) -> tuple[Any, Any]:
        pooled = await self._engine.raw_connection()
        connection: Any = pooled.driver_connection
        pooled.detach()
        await connection.execute("SET plan_cache_mode = force_generic_plan")
        return connection, await connection.prepare(self._statement)

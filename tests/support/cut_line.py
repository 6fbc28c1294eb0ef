"""A connection to Postgres or Kafka that a test can cut."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from sqlalchemy import URL


class CutLine:
    """Forwards connections to a server, or refuses and breaks them while it is cut."""

    def __init__(self, target: URL) -> None:
        """`target` is the server's URL; `url` leads to it over this line."""
        self._target = target
        self.url = target
        self._cut = False
        self._open: set[asyncio.StreamWriter] = set()

    def cut(self) -> None:
        """Break open connections, and refuse new ones."""
        self._cut = True
        for writer in self._open:
            writer.transport.abort()

    def reset(self) -> None:
        """Reset open connections, as the system does for a killed process."""
        for writer in self._open:
            if line := writer.get_extra_info("socket"):
                line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    def mend(self) -> None:
        """Let new connections through."""
        self._cut = False

    async def forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection to its end."""
        self._open.add(writer)
        with suppress(OSError):
            if not self._cut:
                far_reader, far_writer = await self._connect()
                self._open.add(far_writer)
                await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
        writer.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host = self._target.host or str(self._target.query.get("host", "127.0.0.1"))
        port = self._target.port or int(str(self._target.query.get("port", 5432)))
        if host.startswith("/"):
            return await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        return await asyncio.open_connection(host, port)


@asynccontextmanager
async def cut_line(target: URL) -> AsyncIterator[CutLine]:
    """A line to the server at `target` while the block runs."""
    line = CutLine(target)
    server = await asyncio.start_server(line.forward, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        line.url = target.set(host="127.0.0.1", port=port, query={})
        yield line
        line.cut()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()

"""`python -m benchmarks.webhooks.receiver PORT`: a receiver that answers 204 at once and notes each arrival.

At SIGTERM it prints them as JSON: per message its time (seconds of the system's monotonic clock) and its account.
"""

import asyncio
import re
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import msgspec
import uvloop
from msgspec import Struct

from benchmarks.harness import HOST
from benchmarks.harness.http_load import LENGTH
from benchmarks.harness.processes import Contender, listening

_ACCOUNT = re.compile(rb'"account_id":"([^"]*)"')
_ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"


class Arrived(Struct, frozen=True, array_like=True):
    """One message."""

    at: float
    account: str


class _Connection(asyncio.Protocol):
    """One connection, on which requests follow each other."""

    def __init__(self, arrived: list[Arrived]) -> None:
        self._arrived = arrived
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's isn't one of its subclasses

    def data_received(self, data: bytes) -> None:
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, rest = self._received.partition(b"\r\n\r\n")
            length = LENGTH.search(head)
            size = int(length[1]) if length else 0
            if len(rest) < size:
                return
            account = _ACCOUNT.search(rest[:size])
            self._arrived.append(Arrived(time.monotonic(), account[1].decode() if account else ""))
            self._received = rest[size:]
            self._transport.write(_ANSWER)


async def _serve(port: int) -> list[Arrived]:
    arrived: list[Arrived] = []
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    server = await loop.create_server(lambda: _Connection(arrived), HOST, port)
    async with server:
        await stop.wait()
    return arrived


@contextmanager
def receiving() -> Iterator[tuple[str, Contender]]:
    """The URL of a receiver, and its process; `arrived` has its messages."""
    with listening("webhooks.receiver") as (process, port):
        yield f"http://{HOST}:{port}/hook", process


def arrived(process: Contender) -> list[Arrived]:
    """All messages that arrived at a receiver, whose process ends."""
    process.ask_to_end()
    return process.findings(list[Arrived])


if __name__ == "__main__":
    sys.stdout.write(msgspec.json.encode(uvloop.run(_serve(int(sys.argv[1])))).decode())

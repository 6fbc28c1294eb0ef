"""`python -m benchmarks.harness.http_load`: GETs over connections that are kept open, from a process of its own.

As little as possible is done per request, so that the load isn't what is measured; its own cost is reported too.
"""

import asyncio
import re
import signal
import sys
import time
from contextlib import AbstractContextManager, suppress
from functools import partial
from random import Random
from typing import cast

import msgspec
import uvloop
from msgspec import Struct

from benchmarks.harness import HOST, account_id
from benchmarks.harness.processes import Contender, helping

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class HttpLoad(Struct, frozen=True):
    """The requests to send. `{account}` in the path becomes a random account's id."""

    port: int
    path: str
    accounts: int
    connections: int
    seconds: float
    """The duration of the sending in seconds, unless SIGTERM comes before."""
    headers: dict[str, str] = {}
    per_second: float | None = None
    """Requests a second over all connections; None is as many as they take."""
    warm_seconds: float = 1.0
    """Answers in these first seconds don't count."""


class Answered(Struct, frozen=True):
    """The answers of a load."""

    milliseconds: list[float]
    """From each request to the end of its answer."""
    seconds: float
    cpu_seconds: float
    """Processor time of the load itself."""
    failed: int
    """Answers that weren't a 200."""


class _Connection(asyncio.Protocol):
    """One connection, with one request under way at a time."""

    def __init__(self, load: HttpLoad, seed: int) -> None:
        self._load = load
        self._random = Random(seed)
        head = "".join(f"{name}: {value}\r\n" for name, value in load.headers.items())
        self._rest = f" HTTP/1.1\r\nHost: {HOST}\r\n{head}\r\n"
        self._received = b""
        self._sent_at = 0.0
        self._pause = load.connections / load.per_second if load.per_second else 0.0
        self.taken: list[tuple[float, float]] = []
        self.failed = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's isn't one of its subclasses
        asyncio.get_running_loop().call_later(self._random.random() * self._pause, self._ask)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, _, body = self._received.partition(b"\r\n\r\n")
        length = LENGTH.search(head)
        if not length or len(body) < int(length[1]):
            return
        now = time.perf_counter()
        self.taken.append((now, (now - self._sent_at) * 1000))
        self.failed += not head.startswith(b"HTTP/1.1 200")
        self._received = b""
        wait = self._sent_at + self._pause - now
        if wait > 0:
            asyncio.get_running_loop().call_later(wait, self._ask)
        else:
            self._ask()

    def _ask(self) -> None:
        account = account_id(self._random.randrange(self._load.accounts))
        path = self._load.path.replace("{account}", account)
        self._sent_at = time.perf_counter()
        self._transport.write(f"GET {path}{self._rest}".encode())


async def _run(load: HttpLoad) -> Answered:
    loop = asyncio.get_running_loop()
    connections = [
        (await loop.create_connection(partial(_Connection, load, seed), HOST, load.port))[1]
        for seed in range(load.connections)
    ]
    await asyncio.sleep(load.warm_seconds)
    started, cpu_started = time.perf_counter(), time.process_time()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), load.seconds)
    ended, cpu_ended = time.perf_counter(), time.process_time()
    taken = [took for connection in connections for at, took in connection.taken if started <= at <= ended]
    failed = sum(connection.failed for connection in connections)
    return Answered(taken, ended - started, cpu_ended - cpu_started, failed)


def asking(load: HttpLoad) -> AbstractContextManager[Contender]:
    """Put a load on a server, from a process of its own, whose findings are `Answered`."""
    return helping("harness.http_load", msgspec.json.encode(load).decode())


if __name__ == "__main__":
    found = uvloop.run(_run(msgspec.json.decode(sys.argv[1], type=HttpLoad)))
    sys.stdout.write(msgspec.json.encode(found).decode())

"""The process that serves the API."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
import uvicorn
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from service.api.app import create_app
from service.api.middleware.bounded_protocol import BoundedProtocol
from service.messaging.publisher import Publisher
from service.observability.probes import serve_probes
from service.runtime.errors import has_files_extra
from service.runtime.garbage_collection import gc_frozen
from service.runtime.settings import Settings
from service.runtime.sockets import listen_on
from service.runtime.tasks import until_first
from service.storage.database.clock_check import OneClock, compare_if_reachable, keep_comparing
from service.storage.database.engine import create_engine

log = structlog.get_logger(__name__)

GRACE_SECONDS = 6
"""The time limit in seconds for requests under way when stopping; publishing takes at most five."""
_BACKLOG = 2048


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Serve until `stop` is set, then let requests under way end. Raises `HealthError` if the port can't be opened."""
    listening = listen(settings)
    clock = OneClock()
    engine = create_engine(settings, "api", longest_statement=settings.http_timeout_seconds + 1)
    try:
        app = create_app(
            settings, engine, Publisher(settings), clock.now, lambda: clock.trouble, lambda: clock.difference
        )
        host, port = listening.getsockname()[:2]
        log.info("listening", host=host, port=port)
        async with serve_probes(settings):  # for Prometheus, without a key, and for health checks
            await compare_if_reachable(engine, clock)
            with gc_frozen():
                await until_first(
                    run(app, listening, stop), keep_comparing(engine, clock), _run_backtests(settings, engine)
                )
    finally:
        listening.close()
        await engine.dispose()


async def _run_backtests(settings: Settings, engine: AsyncEngine) -> None:
    """Run back-tests that were asked for, until cancelled; without Arrow, none can be asked for."""
    if not has_files_extra():
        await asyncio.Event().wait()
    # Not at the top: the base install doesn't have Arrow.
    from service.jobs.backtest.job_runner import run_backtests

    await run_backtests(settings, engine)


async def run(app: FastAPI, listening: socket.socket, stop: asyncio.Event) -> None:
    """Serve `app` on a bound socket until `stop` is set. The event loop is the caller's, and so are signals."""
    server = _Server(
        uvicorn.Config(
            app,
            http=BoundedProtocol,
            ws="none",
            lifespan="on",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,  # the application reads them, of the proxies that it trusts
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        server.should_exit = True
        await serving


def listen(settings: Settings) -> socket.socket:
    """A socket bound to the host and port of the settings; raises `HealthError` naming the setting at fault."""
    listening = listen_on(
        "HTTP", settings.http_host, settings.http_port, "Stop what uses it, or set another port", backlog=_BACKLOG
    )
    # Connections inherit it. Without it, an answer's body waits 40 ms for the acknowledgement of its head.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


class _Server(uvicorn.Server):
    """Uvicorn without signal handlers of its own."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

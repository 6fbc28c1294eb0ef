"""Probes of a process without an API: is it alive, is it ready, and its metrics."""

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from types import MappingProxyType

import msgspec
import structlog
from aiohttp import web
from prometheus_client import REGISTRY
from prometheus_client.exposition import choose_encoder

from service.runtime.settings import Settings
from service.runtime.sockets import listen_on

log = structlog.get_logger(__name__)

BEGINNING = "it has not begun its work yet"
KAFKA_AWAY = "Kafka can't be reached"
"""Reasons say no more than that: anybody may read them, and an error's text can name hosts and users."""


class Pulse:
    """The heartbeat of one loop, which it gives itself and probes feel.

    A loop calls `beat()` at every turn that did its work, and `beat(POSTGRES_AWAY)` at every try while it waits for
    something: such a loop is alive, as starting it again would not help, but it isn't ready. One that hasn't called
    for `watchdog_seconds` is stuck.

        pulse = Pulse("consume", settings.watchdog_seconds)
        async with serve_probes(settings, pulse):
            while …:
                …
                pulse.beat()
    """

    def __init__(self, name: str, watchdog_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`name` is the loop's name in probes; `clock` never goes back."""
        self.name = name
        self._watchdog_seconds = watchdog_seconds
        self._clock = clock
        self._beaten_at = clock()
        self._waiting_for = BEGINNING
        self.remark = ""

    def beat(self, waiting_for: str = "", *, remark: str = "") -> None:
        """Report that the loop runs, and what it waits for if it can't work until that is there.

        A `remark` is for people who read the probe: the loop works all the same.
        """
        self._beaten_at = self._clock()
        self._waiting_for = waiting_for
        self.remark = remark

    def live(self) -> str | None:
        """The reason to restart the process; None if there is none."""
        silent = self._clock() - self._beaten_at
        return f"it has been silent for {silent:.0f} seconds" if silent > self._watchdog_seconds else None

    def ready(self) -> str | None:
        """The reason why the loop can't work now; None if it can."""
        return self.live() or self._waiting_for or None


@asynccontextmanager
async def serve_probes(settings: Settings, *pulses: Pulse) -> AsyncIterator[int]:
    """Serve `/livez`, `/readyz` and `/metrics` while the block runs, if HEALTH_PROBES_PORT is set; gives the port.

    The API, a process without loops, gives no pulses. It answers itself whether it is ready, so `/readyz` isn't served
    here. Raises `HealthError` if the port can't be opened.
    """
    if not settings.probes_port:
        yield 0
        return
    app = web.Application()
    app.add_routes([web.get("/livez", _livez), web.get("/metrics", _metrics)])
    if pulses:
        app.add_routes([web.get("/readyz", _readyz)])
    app[_PULSES] = pulses
    listening = listen_on(
        "PROBES",
        settings.probes_host,
        settings.probes_port,
        "Give each process of a machine its own port, or 0 for no probes",
    )
    runner = web.AppRunner(app, handle_signals=False, access_log=None, shutdown_timeout=1.0)
    try:
        await runner.setup()
        await web.SockSite(runner, listening).start()
        port: int = listening.getsockname()[1]
        log.info("probes_listening", host=settings.probes_host, port=port)
        yield port
    finally:
        await runner.cleanup()
        listening.close()


_PULSES = web.AppKey("pulses", Sequence[Pulse])


async def _livez(request: web.Request) -> web.Response:
    return _answer("alive", {pulse.name: pulse.live() for pulse in request.app[_PULSES]})


async def _readyz(request: web.Request) -> web.Response:
    pulses = request.app[_PULSES]
    remarks = {pulse.name: pulse.remark for pulse in pulses if pulse.remark}
    return _answer("ready", {pulse.name: pulse.ready() for pulse in pulses}, remarks)


async def _metrics(request: web.Request) -> web.Response:
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return web.Response(body=encode(REGISTRY), headers={"Content-Type": content_type})


_NO_REMARKS: Mapping[str, str] = MappingProxyType({})


def _answer(status: str, checks: dict[str, str | None], remarks: Mapping[str, str] = _NO_REMARKS) -> web.Response:
    """200, or a problem in the API's form; both with the state of each loop."""
    fine = {name: f"ok, but {remarks[name]}" if name in remarks else "ok" for name in checks}
    found = {name: why or fine[name] for name, why in checks.items()}
    if faults := [f"{name}: {why}" for name, why in checks.items() if why]:
        problem = {"type": "about:blank", "title": "Service Unavailable", "status": 503, "detail": "; ".join(faults)}
        return _json(503, {**problem, "checks": found}, "application/problem+json")
    return _json(200, {"status": status, "checks": found}, "application/json")


def _json(status: int, body: dict[str, object], media_type: str) -> web.Response:
    return web.Response(
        status=status,
        body=msgspec.json.encode(body),
        headers={"Content-Type": media_type, "Cache-Control": "no-store"},
    )

"""Parts of delivery tests: receivers on this machine, rows to deliver, and a worker to run."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

from aiohttp import web
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from standardwebhooks.webhooks import Webhook

from service.delivery.attempt import AttemptOutcome
from service.delivery.retry import RetryPolicy
from service.delivery.worker import run
from service.runtime.ids import new_id
from service.runtime.settings import Settings
from service.runtime.vault import Vault, new_webhook_secret
from service.storage.alerts import routing
from service.storage.database.tables import accounts, alerts
from service.storage.database.tables import deliveries as deliveries_table
from service.storage.webhooks import delivery_results, endpoints
from service.storage.webhooks.delivery_results import AttemptRecord, AttemptResult, DeliveryState
from service.storage.webhooks.endpoints import NewEndpoint
from service.storage.webhooks.outbox import ClaimedDelivery
from service.targets import ROUTED

KEY = "a key that only tests use"
SECRET = new_webhook_secret()
QUICK = RetryPolicy((timedelta(seconds=0.05),) * 3, jitter=0.0)

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def local_settings(**changes: object) -> Settings:
    """Settings that let webhooks go to this machine, without an environment that could change them."""
    values: dict[str, Any] = {
        "encryption_key": KEY,
        "webhook_allow_networks": "127.0.0.1/32",
        "webhook_allow_http": True,
        "webhook_timeout_seconds": 5,
        **changes,
    }
    return Settings(_env_file=None, **values)


@dataclass
class Receiver:
    """An HTTP server that keeps its requests."""

    url: str = ""
    port: int = 0
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    @property
    def ids(self) -> list[str]:
        """`webhook-id` of each request."""
        return [headers["webhook-id"] for headers in self.headers]

    def messages(self, secret: str = SECRET) -> list[Any]:
        """Bodies, verified as a customer would."""
        return [Webhook(secret).verify(*each) for each in zip(self.bodies, self.headers, strict=True)]


async def accept(_: web.Request) -> web.StreamResponse:
    """The answer of a working receiver."""
    return web.Response(status=204)


def answers(*statuses: int) -> Answer:
    """Answers with one status after the other, then always with the last."""
    left = list(statuses)

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=left.pop(0) if len(left) > 1 else left[0])

    return answer


@asynccontextmanager
async def receiver(answer: Answer = accept, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Receiver]:
    """A receiver on `host` while the block runs."""
    kept = Receiver()

    async def handle(request: web.Request) -> web.StreamResponse:
        kept.headers.append({name.lower(): value for name, value in request.headers.items()})
        kept.bodies.append(await request.read())
        return await answer(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0, handler_cancellation=True)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        kept.port = runner.addresses[0][1]
        kept.url = f"http://{host}:{kept.port}/hook"
        yield kept
    finally:
        await runner.cleanup()


async def add_endpoint(engine: AsyncEngine, url: str, **more: Any) -> UUID:
    """An endpoint that takes everything, unless `more` says otherwise."""
    sealed = Vault(local_settings().encryption_key).seal(SECRET.encode())
    new = cast("NewEndpoint", {"url": url, "secret": sealed, **more})
    async with engine.begin() as conn:
        return (await endpoints.create(conn, new_id(), new, datetime.now(UTC))).id


async def add_account(engine: AsyncEngine, account_id: str, **attributes: str) -> None:
    """An account with attributes to filter by."""
    async with engine.begin() as conn:
        await conn.execute(insert(accounts).values(account_id=account_id, **attributes))


async def add_alert(engine: AsyncEngine, account_id: str | None, sequence: int | None = 1, **more: Any) -> UUID:
    """An alert and its deliveries, in one transaction as the service writes them."""
    alert_id = new_id()
    row: dict[str, Any] = {
        "rule": "score below 40",
        "type": "health.threshold.crossed",
        "state": "firing",
        "data": {"account_id": account_id, "account_name": "Sørensen 株式会社", "band": "red", "sequence": sequence},
        **more,
    }
    async with engine.begin() as conn:
        await conn.execute(insert(alerts).values(id=alert_id, account_id=account_id, sequence=sequence, **row))
        await routing.enqueue(conn, [alert_id], datetime.now(UTC), targets=ROUTED)
    return alert_id


async def record(
    conn: AsyncConnection,
    delivery: ClaimedDelivery,
    made: AttemptRecord,
    state: DeliveryState,
    due_at: datetime,
    now: datetime,
) -> bool:
    """Record one result, as the recorder does for many; returns whether it was written."""
    attempted = AttemptResult(delivery=delivery, attempt=made, state=state, due_at=due_at)
    return await delivery_results.record(conn, [attempted], now) == {delivery.id}


async def states(engine: AsyncEngine) -> list[str]:
    """The state of every delivery, sorted."""
    async with engine.connect() as conn:
        return sorted((await conn.execute(select(deliveries_table.c.state))).scalars())


@asynccontextmanager
async def working(engine: AsyncEngine, settings: Settings, **options: Any) -> AsyncIterator[list[AttemptOutcome]]:
    """A worker while the block runs, stopped as a signal would; gives the calls of its observer."""
    outcomes: list[AttemptOutcome] = []
    stop = asyncio.Event()
    options = {"policy": QUICK, "poll_seconds": 0.02, **options}
    task = asyncio.create_task(run(engine, settings, stop, observe=outcomes.append, **options))
    try:
        yield outcomes
    finally:
        stop.set()
        await task


async def until(condition: Callable[[], object], seconds: float = 10) -> None:
    """Wait for a condition to hold."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def compact(value: object) -> bytes:
    """JSON without blanks, in UTF-8."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()

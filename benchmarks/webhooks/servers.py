"""The two ends of webhooks: a receiver, one delivery process, endpoints and alerts in the database."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from benchmarks.harness.machine import ROOT
from benchmarks.harness.processes import Contender, ContenderFailedError, environment, running
from benchmarks.harness.servers import Arena
from benchmarks.webhooks.receiver import Arrived
from service.embedded.ports import free_port, listens
from service.runtime.ids import new_id
from service.runtime.settings import Settings
from service.runtime.vault import Vault, new_webhook_secret
from service.storage.alerts import alerts, routing
from service.storage.alerts.alerts import AlertRow
from service.storage.database.engine import create_engine
from service.storage.webhooks import endpoints
from service.storage.webhooks.endpoints import NewEndpoint

KEY = "only for benchmarks"
PATIENCE_SECONDS = 120.0
CHUNK = 5_000


class ReceiverProcess:
    """The receiving process."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        """`process` listens on `port`."""
        self._process = process
        self.url = f"http://127.0.0.1:{port}/hook"

    def arrived(self) -> list[Arrived]:
        """All arrivals; the process ends."""
        self._process.send_signal(signal.SIGTERM)
        out, _ = self._process.communicate()
        return msgspec.json.decode(out, type=list[Arrived])


@contextmanager
def receiving() -> Iterator[ReceiverProcess]:
    """A receiver in a process of its own."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.webhooks.receiver", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
    try:
        while not listens(port):
            time.sleep(0.05)
        yield ReceiverProcess(process, port)
    finally:
        process.kill()
        process.wait()


@contextmanager
def delivering(arena: Arena, settings: Settings) -> Iterator[Contender]:
    """One `account-health deliver`, as an operator starts it, but allowed to send to this machine."""
    variables = environment(
        settings,
        HEALTH_ENCRYPTION_KEY=KEY,
        HEALTH_WEBHOOK_ALLOW_NETWORKS="127.0.0.0/8",
        HEALTH_WEBHOOK_ALLOW_HTTP="true",
        HEALTH_LOG_LEVEL="warning",
    )
    command = [sys.executable, "-P", "-m", "service", "deliver"]
    with running("deliver", command, variables, arena.folder / settings.kafka_group) as contender:
        yield contender


async def fill(settings: Settings, url: str, messages: int, count: int) -> None:
    """Create endpoints, and alerts for each of them."""
    engine = create_engine(settings, "bench")
    now = datetime.now(UTC)
    try:
        async with engine.begin() as connection:
            for _ in range(count):
                await _add_endpoint(connection, url)
        for start in range(0, messages, CHUNK):
            rows = [_alert(number) for number in range(start, min(start + CHUNK, messages))]
            async with engine.begin() as connection:
                await alerts.insert(connection, rows, now)
                await routing.enqueue(connection, [row.id for row in rows], now)
    finally:
        await engine.dispose()


async def _add_endpoint(connection: AsyncConnection, url: str) -> None:
    vault = Vault(Settings(_env_file=None, encryption_key=KEY).encryption_key)
    new: NewEndpoint = {"url": url, "secret": vault.seal(new_webhook_secret().encode())}
    await endpoints.create(connection, new_id(), new, datetime.now(UTC))


def _alert(number: int) -> AlertRow:
    account_id = f"account-{number:07d}"
    drivers = [{"measure": name, "delta": -7.25} for name in ("active_users", "silence_ratio", "open_tickets")]
    data = {
        "account_id": account_id, "account_name": "Sørensen & Søn", "rule": "At risk", "state": "firing", "score": 31.5,
        "previous_score": 53.25, "band": "red", "previous_band": "yellow", "threshold": 40, "drivers": drivers,
        "sequence": 1, "url": f"https://health.example.com/v1/accounts/{account_id}/health",
    }  # fmt: skip
    return AlertRow(
        id=new_id(),
        account_id=account_id,
        sequence=1,
        rule_id=UUID(int=0),
        rule="At risk",
        type="health.threshold.crossed",
        state="firing",
        in_digest=False,
        data=msgspec.json.encode(data).decode(),
        digest_id=None,
    )


async def until(url: str, contender: Contender, statement: str) -> None:
    """Wait until a statement returns true."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    connection = await asyncpg.connect(url)
    try:
        while not await connection.fetchval(statement):
            if contender.ended or time.monotonic() > deadline:
                raise ContenderFailedError(contender.explain("didn't get done"))
            await asyncio.sleep(0.05)
    finally:
        await connection.close()

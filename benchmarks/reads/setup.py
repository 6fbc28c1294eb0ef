"""The setup of reads: PostgreSQL alone, databases with accounts in them, the service's API, and requests to it."""

import asyncio
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import msgspec

from benchmarks.harness import http_load
from benchmarks.harness.http_load import Answered, HttpLoad
from benchmarks.harness.machine import ROOT
from benchmarks.harness.population import TABLES, Expressions, populate
from benchmarks.harness.processes import Contender, ContenderFailedError, environment, running
from benchmarks.harness.servers import Arena, TunedPostgres
from service.embedded.ports import free_port, listens
from service.evaluation.bootstrap import prepare_database
from service.runtime.settings import Settings
from service.storage.database.engine import create_engine
from tests.support.api import make_key

HOST = "127.0.0.1"
NO_KAFKA = "127.0.0.1:1"
PATIENCE_SECONDS = 30.0


@contextmanager
def run_postgres() -> Iterator[Arena]:
    """PostgreSQL, and nothing else, until the end of the block."""
    folder = Path(tempfile.mkdtemp(prefix="account-health-bench-"))
    folder.chmod(0o755)  # Postgres may run as another account
    try:
        with TunedPostgres(folder / "postgres") as postgres:
            yield Arena("reads", folder, postgres, NO_KAFKA, "none")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def filled(
    arena: Arena,
    name: str,
    accounts: int,
    at: datetime,
    tables: tuple[str, ...] = TABLES,
    changed: Mapping[str, Expressions] | None = None,
) -> Settings:
    """Settings of a new database with accounts last scored at the moment `at`."""
    settings = arena.settings(arena.create_database(name), name, name, 1)
    prepare_database(settings)
    url = settings.database_url.get_secret_value()
    asyncio.run(populate(url, accounts, at, tables=tables, changed=changed or {}))
    return settings


def read_key(settings: Settings) -> str:
    """A new API key that may read."""

    async def make() -> str:
        engine = create_engine(settings, "bench")
        try:
            return await make_key(engine, "read")
        finally:
            await engine.dispose()

    return asyncio.run(make())


@contextmanager
def serving(arena: Arena, settings: Settings) -> Iterator[tuple[Contender, int]]:
    """The service's API, as an operator starts it, and its port."""
    port = free_port()
    command = [sys.executable, "-P", "-m", "service", "api"]
    # One key sends all requests: it is counted as always, but never delayed.
    variables = environment(settings, HEALTH_HTTP_PORT=str(port), HEALTH_HTTP_RATE_LIMIT="1000000")
    with _listening("api", command, variables, arena, port) as contender:
        yield contender, port


@contextmanager
def serving_bare(arena: Arena, settings: Settings) -> Iterator[tuple[Contender, int]]:
    """The bare route over the same database, and its port."""
    port = free_port()
    url = settings.database_url.get_secret_value()
    command = [sys.executable, "-m", "benchmarks.reads.bare_app", url, str(port)]
    with _listening("bare", command, environment(settings, PYTHONPATH=_root()), arena, port) as contender:
        yield contender, port


@contextmanager
def _listening(
    name: str, command: list[str], variables: dict[str, str], arena: Arena, port: int
) -> Iterator[Contender]:
    with running(name, command, variables, arena.folder / name) as contender:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not listens(port):
            if contender.ended or time.monotonic() > deadline:
                raise ContenderFailedError(contender.explain("doesn't listen"))
            time.sleep(0.05)
        yield contender


def ask(load: HttpLoad) -> Answered:
    """Put a load on a server, from a process of its own."""
    with asking(load) as process:
        return answered(process)


@contextmanager
def asking(load: HttpLoad) -> Iterator[subprocess.Popen[bytes]]:
    """Put a load on a server in the background; `answered` waits for its result."""
    process = subprocess.Popen(http_load.command(load), cwd=_root(), stdout=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def answered(process: subprocess.Popen[bytes]) -> Answered:
    """Wait for the end of a load."""
    out, _ = process.communicate()
    if process.returncode:
        raise ContenderFailedError("the load ended early")
    return msgspec.json.decode(out, type=Answered)


def _root() -> str:
    return str(ROOT)

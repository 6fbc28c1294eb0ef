"""Schemathesis against a running API: requests made from its own description, good and bad, one by one and in turn."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from service.messaging.publisher import Publisher
from service.runtime.settings import Settings
from tests.support.api import Api, Clock, make_key, running
from tests.support.api_data import load

CONFIG = Path(__file__).with_name("schemathesis.toml")
ROOT = Path(__file__).parents[2]
WORKERS = 2
SETTINGS: dict[str, Any] = {
    "encryption_key": "a key that is only for tests",
    "webhook_allow_networks": "127.0.0.1/32",
    "webhook_allow_http": True,
    "http_rate_limit": 0,
    "http_wrong_keys": 0,  # it tries many, each of which should be refused for its own reason
}


@dataclass(frozen=True)
class Fuzzed:
    """The result of a run: whether every check held, the number of requests, and the report."""

    held: bool
    requests: int
    report: str


class Now(Clock):
    """The real time, which the requests depend on."""

    def __call__(self) -> Any:
        """The time."""
        return Clock().now


@asynccontextmanager
async def target(settings: Settings, engine: AsyncEngine) -> AsyncIterator[Api]:
    """An API over real Kafka with something of everything in it. `settings` include those above."""
    key = await make_key(engine, "admin")
    async with running(settings, key, Publisher(settings), Now()) as api:
        await load(api, engine)
        yield api


async def fuzz(api: Api, examples: int, seed: int) -> Fuzzed:
    """Send up to a number of requests per operation in the busiest phase, the same ones for the same seed."""
    command = ["-m", "schemathesis.cli", "--config-file", str(CONFIG), "run", f"{api.url}/openapi.json"]
    options = ["--max-examples", str(examples), "--seed", str(seed), "--workers", str(WORKERS), "--no-color"]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        *options,
        "--header",
        f"Authorization: Bearer {api.key}",
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    report = output.decode(errors="replace")
    generated = re.search(r"(\d+) generated", report)
    return Fuzzed(process.returncode == 0, int(generated.group(1)) if generated else 0, report)

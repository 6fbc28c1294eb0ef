"""The service as an operator runs it: by its commands, in processes of its own."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from service.embedded.ports import free_port
from service.runtime.settings import Settings
from tests.support.service import eventually


def environment(settings: Settings, **more: str) -> dict[str, str]:
    """The variables that an operator would export."""
    named = {
        "HEALTH_DATABASE_URL": settings.database_url.get_secret_value(),
        "HEALTH_KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
        "HEALTH_KAFKA_GROUP": settings.kafka_group,
        "HEALTH_KAFKA_PARTITIONS": str(settings.kafka_partitions),
        **{f"HEALTH_TOPIC_{signal.upper()}": topic for signal, topic in settings.topics.items()},
        "HEALTH_ENCRYPTION_KEY": "a key that only tests use",
        "HEALTH_WEBHOOK_ALLOW_HTTP": "true",
        "HEALTH_WEBHOOK_ALLOW_NETWORKS": "127.0.0.1/32",
        "HEALTH_HTTP_PORT": str(free_port()),
    }
    return {**os.environ, **named, **more}


def command(*words: str, env: dict[str, str], seconds: float = 60) -> subprocess.CompletedProcess[str]:
    """Run `account-health …` to its end."""
    whole = [sys.executable, "-m", "service", *words]
    return subprocess.run(whole, env=env, capture_output=True, text=True, timeout=seconds, check=True)


@asynccontextmanager
async def service_up(env: dict[str, str], logs: Path, *options: str) -> AsyncIterator[str]:
    """`account-health up` until the end of the block; gives the URL of its API. SIGTERM must end it with success."""
    with logs.open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "service", "up", *options], env=env, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{env['HEALTH_HTTP_PORT']}"
    try:
        await eventually(lambda: _ready(url), "the service is ready", 60)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            status = await asyncio.to_thread(process.wait, 40)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    assert status == 0, logs.read_text()


async def _ready(url: str) -> bool:
    try:
        async with aiohttp.ClientSession() as session, session.get(f"{url}/readyz") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


async def call(url: str, key: str, method: str = "GET", **request: Any) -> Any:
    """An API call that must succeed; returns the JSON of its answer."""
    headers = {"Authorization": f"Bearer {key}"}
    async with aiohttp.request(method, url, headers=headers, **request) as answer:
        body = await answer.json(content_type=None)
        assert answer.ok, body
        return body

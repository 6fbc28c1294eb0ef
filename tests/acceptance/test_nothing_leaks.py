"""Failures at level debug, with secrets and personal data planted: none is in what the service writes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.cloud_events import cloud_event, encode, produce
from tests.support.commands import call, command, environment, service_up
from tests.support.service import eventually, folded_up_to, settings_for
from tests.support.webhooks import receiver

pytestmark = pytest.mark.anyio

PLANTED = "planted-5f1d"
"""Part of every secret and of everything personal here; of nothing else."""


async def test_nothing_leaks_into_the_log(
    database_url: str, bootstrap: str, topic_prefix: str, tmp_path: Path, engine: AsyncEngine
) -> None:
    settings = settings_for(database_url, bootstrap, topic_prefix)
    env = environment(
        settings,
        HEALTH_LOG_LEVEL="debug",
        HEALTH_LOG_FORMAT="json",
        HEALTH_ENCRYPTION_KEY=f"{PLANTED}-encryption-key",
        HEALTH_DEAD_LETTER_TOPICS="true",
    )
    logs = tmp_path / "up.log"
    async with receiver(_echo) as crm, service_up(env, logs) as url:
        key = command("api-key", "create", "test", "--scope", "admin", env=env).stdout.strip()
        endpoint = {
            "url": f"{crm.url}/{PLANTED}?token={PLANTED}",
            "headers": {"X-Auth": f"{PLANTED}-header"},
            "description": f"{PLANTED}@example.com",
        }
        made = await call(f"{url}/v1/webhook-endpoints", key, "POST", json=endpoint)
        async with aiohttp.ClientSession() as session:
            await _ask(session, url, key, made["id"])
        await produce(bootstrap, _records(settings.topics))
        await folded_up_to(engine, 8)
        await eventually(lambda: _seen(logs, "delivery_attempted"), "an attempt is logged")
        await eventually(lambda: _seen(logs, "batch_folded"), "a batch is logged")
    output = logs.read_text()
    secrets = [PLANTED, key, made["secret"], str(make_url(database_url).password)]
    assert [secret for secret in secrets if secret in output] == []
    attempts = [line for line in _lines(output) if line["event"] == "delivery_attempted"]
    assert all(line["delivery"] and line["endpoint"] == made["id"] for line in attempts)
    assert all(line["batch_id"] for line in _lines(output) if line["event"] == "batch_folded")


async def _echo(request: web.Request) -> web.StreamResponse:
    """A receiver that fails, and repeats the request in its answer."""
    return web.json_response(dict(request.headers), status=500)


async def _ask(session: aiohttp.ClientSession, url: str, key: str, endpoint_id: str) -> None:
    """Requests that fail in every way, with secrets that must not show."""
    wrong = {"Authorization": f"Bearer hk_{PLANTED}"}
    right = {"Authorization": f"Bearer {key}", "Content-Type": "application/cloudevents+json"}
    event = cloud_event("survey", "acme", {"survey": "nps", "score": 99, "comment": f"I, {PLANTED}, leave"})
    for method, path, headers, body in (
        ("GET", f"/v1/accounts?owner={PLANTED}@example.com", wrong, None),
        ("GET", f"/v1/accounts/{PLANTED}@example.com/health", right, None),
        ("POST", "/v1/events", right, encode(event)),
        ("POST", "/v1/events", right, f"{PLANTED} isn't JSON".encode()),
        ("POST", f"/v1/webhook-endpoints/{endpoint_id}/test", right, None),
        ("PUT", "/v1/accounts/acme", {**right, "Content-Type": "application/json"}, f'{{"nam": "{PLANTED}"}}'.encode()),
    ):
        async with session.request(method, url + path, headers=headers, data=body) as answer:
            await answer.read()


def _records(topics: Any) -> list[tuple[str, bytes, bytes]]:
    """Records that are folded, and some that are refused, full of personal data."""
    person = f"{PLANTED}@example.com"
    values = [
        encode(cloud_event("usage", "acme", {"feature": "login", "user_id": person})),
        encode(cloud_event("usage", "acme", {"feature": "login", "user_id": person, "name": PLANTED})),
        encode(cloud_event("usage", "acme", {"feature": "login", "quantity": PLANTED})),
        encode(cloud_event("usage", "acme", {"feature": "login"}) | {"type": f"{PLANTED}"}),
        encode(cloud_event("usage", "acme", {"feature": "login"}) | {"time": person}),
        f"{person} isn't JSON".encode(),
    ]
    answer = {"survey": "nps", "score": 3, "response_id": "1", "respondent_id": person, "comment": f"{PLANTED} says no"}
    return [
        *((topics["usage"], b"acme", value) for value in values),
        (topics["survey"], b"acme", encode(cloud_event("survey", "acme", answer))),
        (topics["account"], b"acme", encode(cloud_event("account", "acme", {"owner": person, "name": PLANTED}))),
    ]


async def _seen(logs: Path, event: str) -> bool:
    return f'"{event}"' in logs.read_text()


def _lines(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]


@pytest.mark.parametrize("words", [("migrate",), ("progress", "show"), ("sweep",)])
def test_a_wrong_password_isn_t_revealed(database_url: str, bootstrap: str, words: tuple[str, ...]) -> None:
    wrong = make_url(database_url).set(password=PLANTED).render_as_string(hide_password=False)
    env = environment(settings_for(wrong, bootstrap, "x-"), HEALTH_LOG_LEVEL="debug", HEALTH_LOG_FORMAT="json")
    result = subprocess.run(
        [sys.executable, "-m", "service", *words], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode != 0
    assert "password authentication failed" in result.stderr
    assert PLANTED not in result.stdout + result.stderr
    assert "Traceback" not in result.stderr

"""`account-health webhooks …`: how endpoints are doing, and sending again what failed, after a question."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncEngine
from typer.testing import CliRunner, Result

from service.cli.app import app
from service.runtime.settings import Settings
from service.storage.database.tables import deliveries
from tests.support.webhooks import add_alert, add_endpoint, states

pytestmark = pytest.mark.anyio

NOW = datetime.now(UTC)
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _database(database_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEALTH_DATABASE_URL", database_settings.database_url.get_secret_value())


async def run(*words: str, said: str = "") -> Result:
    return await asyncio.to_thread(CliRunner().invoke, app, ["webhooks", *words], said)


async def failed(engine: AsyncEngine, count: int) -> UUID:
    """An endpoint with a number of failed deliveries, a minute apart."""
    endpoint = await add_endpoint(engine, "https://crm.example/")
    for n in range(count):
        alert_id = await add_alert(engine, f"account-{n}")
        row = {"state": "failed", "created_at": AT + timedelta(minutes=n), "finished_at": NOW}
        async with engine.begin() as connection:
            await connection.execute(update(deliveries).where(deliveries.c.alert_id == alert_id).values(row))
    return endpoint


async def test_the_list_says_how_each_is_doing_and_no_token(engine: AsyncEngine) -> None:
    await add_endpoint(engine, "https://ok.example/hooks/token-in-path?key=hidden", description="The CRM")
    await add_endpoint(engine, "https://failing.example/", failing_since=AT)
    await add_endpoint(engine, "https://gone.example/", enabled=False, disabled_reason="gone", failing_since=AT)
    await add_endpoint(engine, "https://out.example/", enabled=False, disabled_reason="failing", failing_since=AT)
    await add_endpoint(engine, "https://off.example/", enabled=False)
    await add_endpoint(engine, "kafka:health-alerts", target="kafka")
    result = await run("list")
    assert result.exit_code == 0
    lines = [line.split(maxsplit=1)[1].rstrip() for line in result.stdout.splitlines()[1:]]
    assert [" ".join(line.split()) for line in lines] == [
        "ok.example standard ok The CRM",
        "failing.example standard failing since 2026-03-01 12:00",
        "gone.example standard disabled: gone",
        "out.example standard disabled: failing since 2026-03-01 12:00",
        "off.example standard disabled",
        "kafka:health-alerts kafka ok",
    ]
    assert "token-in-path" not in result.stdout


async def test_it_counts_and_asks_before_it_sends_again(engine: AsyncEngine) -> None:
    endpoint = await failed(engine, 3)
    refused = await run("recover", str(endpoint), "--since", "2026-03-01T12:01:00", said="n\n")
    assert refused.exit_code == 1
    assert "Send 2 deliveries again?" in refused.stdout
    assert await states(engine) == ["failed"] * 3
    result = await run("recover", str(endpoint), "--since", "2026-03-01T12:01:00", said="y\n")
    assert result.exit_code == 0
    assert "2 deliveries will be sent again." in result.stdout
    assert await states(engine) == ["failed", "pending", "pending"]


async def test_it_need_not_ask(engine: AsyncEngine) -> None:
    endpoint = await failed(engine, 3)
    words = ["recover", str(endpoint), "--since", "2026-03-01", "--until", "2026-03-01T12:01:00", "--yes"]
    result = await run(*words)
    assert (result.exit_code, result.stdout) == (0, "1 delivery will be sent again.\n")
    assert await states(engine) == ["failed", "failed", "pending"]
    assert (await run(*words)).stdout == "There is nothing to recover.\n"


async def test_what_can_t_be_is_said(engine: AsyncEngine) -> None:
    endpoint = str(await failed(engine, 1))
    for words, said in (
        ((str(uuid4()), "--since", "2026-03-01"), "There is no webhook endpoint"),
        ((endpoint, "--since", "9999-12-31"), "--since is in the future"),
        ((endpoint, "--since", "2026-03-02", "--until", "2026-03-01"), "--since isn't before --until"),
    ):
        result = await run("recover", *words, "--yes")
        assert result.exit_code != 0
        assert said in str(result.exception), words
    assert await states(engine) == ["failed"]

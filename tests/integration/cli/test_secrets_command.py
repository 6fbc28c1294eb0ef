"""`account-health secrets rotate`: afterwards the new key alone opens everything, and the contents are the same."""

import asyncio
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine
from typer.testing import CliRunner

from service.cli.app import app
from service.runtime.errors import HealthError
from service.runtime.settings import Settings
from service.runtime.vault import Vault
from tests.support.service import query

pytestmark = pytest.mark.anyio

OLD, NEW = "an old key of some length", "a new key of some length"
SECRETS = {"secret": b"whsec_abc", "headers": b'{"X-Token": "t"}', "options": b'{"access_token": "pat"}'}


@pytest.fixture(autouse=True)
async def endpoints(engine: AsyncEngine) -> None:
    """Create an endpoint with all sealed columns, and one with a secret alone, sealed with the old key."""
    for names in (SECRETS, ["secret"]):
        values = {name: Vault(SecretStr(OLD)).seal(SECRETS[name]) for name in names}
        statement = (
            f"INSERT INTO webhook_endpoints (id, url, updated_at, {', '.join(names)}) VALUES"
            f" (gen_random_uuid(), 'https://crm.example', '2026-03-02', {', '.join(f':{name}' for name in names)})"
        )
        await query(engine, f"{statement} RETURNING 1", **values)


async def opened(engine: AsyncEngine, key: str) -> list[dict[str, bytes]]:
    """The secrets of the endpoints, opened with that key; the endpoint with most first."""
    rows = await query(engine, "SELECT secret, headers, options FROM webhook_endpoints ORDER BY headers IS NULL")
    vault = Vault(SecretStr(key))
    return [{name: vault.open(value) for name, value in row._mapping.items() if value is not None} for row in rows]


async def rotate(settings: Settings, monkeypatch: pytest.MonkeyPatch, keys: str) -> str:
    monkeypatch.setenv("HEALTH_DATABASE_URL", settings.database_url.get_secret_value())
    monkeypatch.setenv("HEALTH_ENCRYPTION_KEY", keys)
    result = await asyncio.to_thread(CliRunner().invoke, app, ["secrets", "rotate"])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.stdout


async def stored(engine: AsyncEngine) -> list[Any]:
    return [tuple(row) for row in await query(engine, "SELECT * FROM webhook_endpoints ORDER BY id")]


async def test_afterwards_the_new_key_is_enough(
    database_settings: Settings, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = await rotate(database_settings, monkeypatch, f"{NEW},{OLD}")
    assert told == "4 of 4 secrets were resealed; all are sealed with the first key.\n"
    assert await opened(engine, NEW) == [SECRETS, {"secret": SECRETS["secret"]}]
    with pytest.raises(HealthError, match="can't be opened"):
        await opened(engine, OLD)
    times = await query(engine, "SELECT DISTINCT updated_at::date::text FROM webhook_endpoints")
    assert [tuple(row) for row in times] == [("2026-03-02",)]


async def test_again_it_changes_nothing(
    database_settings: Settings, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rotate(database_settings, monkeypatch, f"{NEW},{OLD}")
    before = await stored(engine)
    assert (await rotate(database_settings, monkeypatch, NEW)).startswith("0 of 4 secrets")
    assert await stored(engine) == before


async def test_without_the_old_key_nothing_is_changed_and_the_endpoint_is_named(
    database_settings: Settings, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await query(
        engine,
        "UPDATE webhook_endpoints SET secret = :secret WHERE headers IS NULL RETURNING 1",
        secret=Vault(SecretStr("a third key of some length")).seal(b"x"),
    )
    (lost,) = await query(engine, "SELECT id FROM webhook_endpoints WHERE headers IS NULL")
    with pytest.raises(HealthError, match=f"of webhook endpoint {lost.id}. Append the key"):
        await rotate(database_settings, monkeypatch, f"{NEW},{OLD}")
    rows = await query(engine, "SELECT headers FROM webhook_endpoints WHERE headers IS NOT NULL")
    assert Vault(SecretStr(OLD)).open(rows[0].headers) == SECRETS["headers"]


async def test_without_any_key_it_says_so(database_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HealthError, match="HEALTH_ENCRYPTION_KEY is not set"):
        await rotate(database_settings, monkeypatch, "")

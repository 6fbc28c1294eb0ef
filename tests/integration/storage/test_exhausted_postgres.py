"""Postgres is available but has run out of something: the message names it instead of an outage."""

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import aiohttp
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from service.embedded.ports import free_port
from service.runtime.errors import HealthError
from service.runtime.settings import Settings
from service.storage.database.engine import create_engine
from service.storage.database.errors import to_operator_error
from service.storage.database.retry import is_transient, trouble
from tests.support.api import running
from tests.support.cloud_events import produce, record, usage
from tests.support.service import consuming, eventually, folded_up_to, query, settings_for

pytestmark = pytest.mark.anyio


@pytest.fixture
async def without_connections(database_url: str, engine: AsyncEngine) -> AsyncIterator[Settings]:
    """Settings of a role that may have no connection; the tests' own role is a superuser, whom no limit holds."""
    name = "exhausted"
    async with engine.begin() as connection:
        await connection.execute(text(f"CREATE ROLE {name} LOGIN PASSWORD 'p' CONNECTION LIMIT 0"))
    at = urlsplit(database_url)
    yield settings_for(f"postgresql://{name}:p@{at.hostname}:{at.port}{at.path}", "127.0.0.1:1", "")
    async with engine.begin() as connection:
        await connection.execute(text(f"DROP ROLE {name}"))


async def test_no_connection_left_is_reported_as_that(without_connections: Settings) -> None:
    engine = create_engine(without_connections, "test")
    with pytest.raises(DBAPIError) as refused:
        async with engine.connect():
            pass
    await engine.dispose()
    assert is_transient(refused.value)
    assert trouble(refused.value) == "Postgres has no connection left"
    explained = to_operator_error(refused.value)
    assert isinstance(explained, HealthError)
    assert "too many connections for role" in str(explained)
    assert "Raise max_connections" in str(explained)


async def test_the_api_says_so_too(without_connections: Settings) -> None:
    async with running(without_connections, "hk_any") as api:
        ready = await api.get("/readyz", key=None)
        assert (ready.status, "Postgres has no connection left" in ready.json["detail"]) == (503, True)
        answer = await api.get("/v1/accounts")
        assert (answer.status, answer.json["detail"]) == (503, "Postgres has no connection left. Try again.")


async def test_a_full_disk_is_reported_as_that_and_waited_for(settings: Settings, engine: AsyncEngine) -> None:
    """Postgres' answer in that case, raised by a trigger: nothing is dropped, and work continues once there is room."""
    async with engine.begin() as connection:
        for statement in (
            """CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
               $$BEGIN RAISE 'could not extend file' USING ERRCODE = 'disk_full'; END$$""",
            "CREATE TRIGGER full_disk BEFORE INSERT ON scores EXECUTE FUNCTION full_disk()",
        ):
            await connection.execute(text(statement))
    probed = settings.model_copy(update={"probes_port": free_port()})
    with capture_logs() as logs:
        async with consuming(probed), aiohttp.ClientSession() as session:
            await produce(settings.kafka_bootstrap_servers, [record(settings.topic_usage, usage("acme"))])

            async def is_said() -> bool:
                async with session.get(f"http://127.0.0.1:{probed.probes_port}/readyz") as answer:
                    return "fold: Postgres has no room left on its disk" in await answer.text()

            await eventually(is_said, "the probe says what is full")
            async with engine.begin() as connection:
                await connection.execute(text("DROP TRIGGER full_disk ON scores"))
            await folded_up_to(engine, 1)
    lines = [line for line in logs if line["event"] == "database_unavailable"]
    assert lines
    assert "could not extend file" in lines[0]["reason"]
    assert len(await query(engine, "SELECT 1 FROM usage_states")) == 1
    assert await query(engine, "SELECT 1 FROM dead_letters") == []

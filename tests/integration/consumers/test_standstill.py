"""The API's /readyz tells where folding stands still, and stays 200: everything can still be read."""

from collections.abc import AsyncIterator

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from consumers.fold import ownership
from consumers.sweep import runner
from service.runtime.settings import Settings
from service.storage.ingest.standstill import Standstill, describe
from tests.support.api import Api, make_key, running
from tests.support.service import consuming, eventually, query

pytestmark = pytest.mark.anyio

SEE = "See: account-health progress show"


@pytest.fixture
async def api(settings: Settings, engine: AsyncEngine) -> AsyncIterator[Api]:
    async with running(settings, await make_key(engine, "read")) as api:
        yield api


async def folding(api: Api) -> str | None:
    answer = await api.get("/readyz", key=None)
    assert answer.status == 200
    found: str | None = answer.json.get("folding")
    return found


async def execute(engine: AsyncEngine, statement: str) -> None:
    async with engine.begin() as connection:
        await connection.execute(text(statement))


async def test_it_reports_consumers_that_are_away_and_halted_partitions(
    settings: Settings, engine: AsyncEngine, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ownership, "CHECK_SECONDS", 0.2)
    assert f"no consumer has started on {settings.topic_usage}" in str(await folding(api))

    async def goes_on() -> bool:
        return await folding(api) is None

    async def all_are_heard() -> bool:
        return not await query(engine, "SELECT 1 FROM progress WHERE heard_at IS NULL")

    gone = "UPDATE progress SET heard_at = now() - interval '61 s', updated_at = now() - interval '1 h'"
    async with consuming(settings):
        await eventually(goes_on, "all is folded")
        await eventually(all_are_heard, "the consumer says that it is there")
        await execute(engine, gone)
        await eventually(goes_on, "the consumer says it again")
    await execute(engine, gone)
    assert f"no consumer is active for 3 of 3 partitions of {settings.topic_usage}" in str(await folding(api))
    async with engine.begin() as connection:
        await connection.execute(
            text("UPDATE progress SET halted = 'a secret' WHERE topic = :topic AND partition = 1"),
            {"topic": settings.topic_usage},
        )
    found = str(await folding(api))
    assert f"1 of 3 partitions of {settings.topic_usage} are halted" in found
    assert f"for 2 of 3 partitions of {settings.topic_usage}" in found
    assert "secret" not in found
    await runner._count_backlog(engine, settings, api.clock())
    assert REGISTRY.get_sample_value("health_away_partitions", {"topic": settings.topic_usage}) == 2


def test_it_is_described_in_words() -> None:
    assert describe([Standstill("usage", 3, 0, 0)]) is None
    assert describe([Standstill("usage", 3, 1, 0), Standstill("survey", 0, 0, 0)]) == (
        f"1 of 3 partitions of usage are halted; no consumer has started on survey. {SEE}"
    )

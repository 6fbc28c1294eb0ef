"""Fixtures of tests that run the service against real servers."""

from collections.abc import AsyncIterator
from functools import cache

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from scoring.scorecards.document import ScorecardDocument, parse
from service.evaluation.policy import starter
from service.messaging.topics import create_topics
from service.runtime.settings import Settings
from service.storage.database.engine import create_engine
from service.storage.policy import scorecards
from tests.support.service import settings_for


@pytest.fixture
async def database_settings(database_url: str) -> Settings:
    """Settings of a test's own database, with the default scorecard, and no Kafka."""
    settings = settings_for(database_url, "127.0.0.1:1", "")
    engine = create_engine(settings, "test")
    async with engine.begin() as connection:
        await scorecards.publish(connection, _default(settings.retention_days))
    await engine.dispose()
    return settings


@pytest.fixture
async def settings(database_settings: Settings, bootstrap: str, topic_prefix: str) -> Settings:
    """The same with its own topics, created."""
    settings = settings_for(database_settings.database_url.get_secret_value(), bootstrap, topic_prefix)
    await create_topics(settings)
    return settings


@pytest.fixture
async def engine(database_settings: Settings) -> AsyncIterator[AsyncEngine]:
    """The test's own connection to the database."""
    engine = create_engine(database_settings, "test")
    yield engine
    await engine.dispose()


@cache
def _default(retention: int) -> ScorecardDocument:
    """The default scorecard, parsed once for all tests: reading YAML takes longer than publishing."""
    return parse(starter("default"), retention)

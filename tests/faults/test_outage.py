"""Postgres and Kafka away for longer than any timeout in between: consumers wait, say so, and go on."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from service.embedded.ports import free_port
from service.embedded.postgres import EmbeddedPostgres
from service.evaluation.bootstrap import prepare_database
from service.messaging.topics import create_topics
from service.runtime.settings import Settings
from service.storage.database.engine import create_engine
from tests.faults.checks import stored_accounts
from tests.support.cloud_events import produce, record, usage
from tests.support.kafka import ApacheKafka
from tests.support.kafka_jars import what_is_missing
from tests.support.service import consuming, eventually, folded_up_to, settings_for

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(bool(what_is_missing()), reason=f"Apache Kafka can't run here: {what_is_missing()}"),
]


@pytest.fixture
def postgres(server_folder: Path) -> EmbeddedPostgres:
    return EmbeddedPostgres(server_folder / "postgres", durable=False)


@pytest.fixture
async def own(server_folder: Path, postgres: EmbeddedPostgres) -> AsyncIterator[tuple[Settings, ApacheKafka]]:
    """Servers that no other test talks to."""
    server_folder.chmod(0o755)
    with postgres, ApacheKafka(server_folder / "kafka") as kafka:
        settings = settings_for(
            postgres.address, kafka.address, "outage-", probes_port=free_port(), kafka_session_seconds=2.0
        )
        await asyncio.to_thread(prepare_database, settings)
        await create_topics(settings)
        yield settings, kafka


async def test_a_consumer_outlives_both(own: tuple[Settings, ApacheKafka], postgres: EmbeddedPostgres) -> None:
    settings, kafka = own
    async with consuming(settings):
        await send(settings)
        await folded(settings, 1)
        assert await probe(settings, "readyz") == (200, "")

        postgres.stop("immediate")
        await send(settings)
        await says(settings, "Postgres can't be reached")
        await asyncio.sleep(10)
        assert (await probe(settings, "livez"))[0] == 200
        await asyncio.to_thread(postgres.start)
        await folded(settings, 2)
        await says(settings, "")

        kafka.kill()
        await says(settings, "Kafka can't be reached")
        await asyncio.sleep(5)
        assert (await probe(settings, "livez"))[0] == 200
        await asyncio.to_thread(kafka.start)
        await send(settings)
        await folded(settings, 3)
        await says(settings, "")


async def send(settings: Settings) -> None:
    await produce(settings.kafka_bootstrap_servers, [record(settings.topic_usage, usage("acme"))])


async def folded(settings: Settings, count: int) -> None:
    """Wait until a number of events are folded, and check that each counted once."""
    engine = create_engine(settings, "test")
    try:
        await folded_up_to(engine, count, 60)
        async with engine.connect() as connection:
            (account,) = (await stored_accounts(connection)).values()
        assert sum(account.state.usage.days.values()) == count
    finally:
        await engine.dispose()


async def says(settings: Settings, reason: str) -> None:
    """Wait until /readyz gives this reason; none if it is ready."""

    async def said() -> bool:
        status, detail = await probe(settings, "readyz")
        return reason in detail if reason else status == 200

    await eventually(said, f"/readyz says {reason or 'ready'}", 90)


async def probe(settings: Settings, path: str) -> tuple[int, str]:
    """Status and reason."""
    url = f"http://127.0.0.1:{settings.probes_port}/{path}"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        body = await answer.json(content_type=None)
        return answer.status, body.get("detail", "")

"""Postgres is lost for good, and restored from a dump that was taken while consumers folded: deploy/backup.md.

What the dump doesn't know is folded again from Kafka, and in the end everything is as if nothing had been lost.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncEngine

from consumers.sweep.runner import sweep_once
from service.embedded.postgres import EmbeddedPostgres
from service.evaluation.policy import PolicyCache
from service.runtime.settings import Settings
from service.storage.alerts import listing
from service.storage.alerts.listing import BEGINNING, AlertFilter
from service.storage.database.engine import create_engine
from service.storage.database.migrate import upgrade
from service.storage.ingest import progress
from tests.faults import truth
from tests.faults.alerts import ONE_WAY
from tests.faults.feed import Feed
from tests.faults.ground import Ground, ground, require_apache_kafka
from tests.faults.stream import Stream
from tests.faults.test_faults import differences
from tests.support.cloud_events import produce, record, usage
from tests.support.dumps import dump, restore, run_sql
from tests.support.paths import ROOT
from tests.support.postgres import PostgresServer
from tests.support.service import consuming, eventually, folded_up_to, query

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

SEED, RECORDS = 5, 60_000
MANUAL = (ROOT / "deploy" / "backup.md").read_text()


def renumbering() -> str:
    """The statement that operators run after a restore, from the manual."""
    found = re.search(r'psql "\$HEALTH_DATABASE_URL" -c "(UPDATE alerts .*)"', MANUAL)
    assert found
    return found[1]


async def test_what_a_dump_does_not_know_is_folded_again(server_folder: Path, tmp_path: Path) -> None:
    require_apache_kafka()
    async with ground(server_folder) as place:
        place = replace(place, settings=place.settings.model_copy(update={"batch_max_records": 500}))
        feed = Feed(Stream(SEED, datetime.now(UTC)), place.settings)
        feed.release(RECORDS)
        feeding = asyncio.create_task(feed.run(RECORDS))
        async with consuming(place.settings):
            await folded_up_to(place.engine, RECORDS // 4, 120)
            await asyncio.to_thread(dump, url_of(place.settings), tmp_path / "health.dump")
            await folded_up_to(place.engine, RECORDS // 2, 120)
        lost = await alerts_of(place.engine)
        await place.engine.dispose()
        place.postgres.kill()
        await feeding
        with EmbeddedPostgres(server_folder / "another", durable=False) as postgres:
            restored = await restored_on(postgres, place, tmp_path / "health.dump")
            try:
                await check_all_is_right(restored, lost)
            finally:
                await restored.engine.dispose()


async def restored_on(postgres: EmbeddedPostgres, place: Ground, file: Path) -> Ground:
    """The same Kafka with the dump on another server, as the manual says."""
    settings = place.settings.model_copy(update={"database_url": type(place.settings.database_url)(postgres.address)})
    await asyncio.to_thread(restore, file, postgres.address)
    await asyncio.to_thread(run_sql, postgres.address, renumbering())
    await asyncio.to_thread(upgrade, postgres.address)
    return Ground(postgres, place.kafka, settings, create_engine(settings, "test"))


async def check_all_is_right(place: Ground, lost: Sequence[Row[Any]]) -> None:
    kept = await alerts_of(place.engine)
    before = sum(row.next_offset for row in await progress_of(place.engine))
    assert RECORDS // 4 <= before < RECORDS // 2, "it was taken while they folded"
    assert 0 < len(kept) < len(lost)
    async with place.engine.connect() as connection:
        settled, _ = await listing.settled_marks(connection)
        polled = await listing.since(connection, AlertFilter(), after=BEGINNING, until=settled, limit=100_000)
    assert {row.id for row in polled} == {row.id for row in kept}, "pollers that begin anew get all there are, at once"

    held = await truth.read(place.settings)
    async with consuming(place.settings):
        await folded_up_to(place.engine, held.records, 120)
    while await sweep_once(
        place.engine, PolicyCache(place.settings.retention_days, lambda: 0.0), place.settings, datetime.now(UTC)
    ):
        pass
    told = await alerts_of(place.engine)
    assert await differences(place, held) == []
    check_alerts(lost, kept, told)


def check_alerts(lost: Sequence[Row[Any]], kept: Sequence[Row[Any]], told: Sequence[Row[Any]]) -> None:
    """Alerts of the dump are unchanged. Later ones are sent again, under other ids."""
    ids = {row.id for row in kept}
    assert ids <= {row.id for row in told}
    again = [row for row in lost if row.id not in ids]
    assert len(again) > 20
    assert {row.id for row in again}.isdisjoint(row.id for row in told)
    # Alerts that depend on the batches that events came in may have been sent once more or less.
    wanted = {content(row) for row in again if row.account_id.startswith(ONE_WAY)}
    assert wanted
    assert wanted <= Counter(content(row) for row in told if row.id not in ids).keys()


def content(alert: Row[Any]) -> tuple[str, str, str]:
    return alert.account_id, alert.rule, alert.state


async def alerts_of(engine: AsyncEngine) -> Sequence[Row[Any]]:
    return await query(engine, "SELECT id, account_id, rule, state, sequence FROM alerts")


async def progress_of(engine: AsyncEngine) -> Sequence[Row[Any]]:
    async with engine.connect() as connection:
        return await progress.all_partitions(connection)


def url_of(settings: Settings) -> str:
    return settings.database_url.get_secret_value()


async def test_where_kafka_no_longer_has_what_the_dump_does_not_know_it_halts(
    settings: Settings, engine: AsyncEngine, database_url: str, tmp_path: Path, restored_url: str
) -> None:
    """Retention was shorter than the way back to the dump: that is said, and nothing is skipped in silence."""
    await send(settings, 2)
    async with consuming(settings):
        await folded_up_to(engine, 2)
        await asyncio.to_thread(dump, database_url, tmp_path / "health.dump")
        await send(settings, 5)
        await folded_up_to(engine, 7)
        (folded,) = await query(engine, "SELECT partition FROM progress WHERE next_offset > 0")
    partition = TopicPartition(settings.topic_usage, folded.partition)
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap_servers)
    await admin.start()
    await admin.delete_records({partition: RecordsToDelete(before_offset=4)})
    await admin.close()

    await asyncio.to_thread(restore, tmp_path / "health.dump", restored_url)
    restored = settings.model_copy(update={"database_url": type(settings.database_url)(restored_url)})
    again = create_engine(restored, "test")
    try:
        async with consuming(restored):

            async def halted() -> bool:
                rows = await query(again, "SELECT halted FROM progress WHERE halted IS NOT NULL")
                return [row.halted for row in rows] == ["next offset 2 is outside of the log, 4 to 7"]

            await eventually(halted, "the partition is halted")
            async with again.begin() as connection:
                await progress.reset(connection, {(partition.topic, partition.partition): 4})
            await folded_up_to(again, 7)
    finally:
        await again.dispose()


async def send(settings: Settings, count: int) -> None:
    """Events of one account, and so of one partition."""
    records = [record(settings.topic_usage, usage("acme")) for _ in range(count)]
    await produce(settings.kafka_bootstrap_servers, records)


@pytest.fixture
def restored_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A database with nothing in it."""
    url = postgres_server.create_empty()
    yield url
    postgres_server.drop(url)

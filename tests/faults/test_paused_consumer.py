"""A consumer that is paused with a batch in hand can't write it once another one has taken its partitions over."""

from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from service.evaluation.changes import read_state
from service.runtime.settings import Settings
from service.storage.accounts import states
from service.storage.ingest import progress
from tests.faults.fleet import Fleet, Member
from tests.support.cloud_events import Record, produce, record, usage
from tests.support.commands import environment
from tests.support.service import eventually, query

pytestmark = pytest.mark.anyio

ACCOUNTS, EVENTS = 30, 600


async def test_a_paused_consumer_writes_nothing_of_its_batch(
    settings: Settings, engine: AsyncEngine, tmp_path: Path
) -> None:
    events = [usage(f"account-{number % ACCOUNTS}", f"feature-{number % 7}") for number in range(EVENTS)]
    records = [record(settings.topic_usage, event) for event in events]
    fleet = Fleet(environment(settings, HEALTH_KAFKA_SESSION_SECONDS="2"), tmp_path)
    try:
        first = await fleet.start()
        await produce(settings.kafka_bootstrap_servers, records[: EVENTS // 2])
        await _folds(engine, fleet, EVENTS // 2)
        await _pause_with_a_batch_in_hand(engine, fleet, first, settings, records[EVENTS // 2 :])

        second = await fleet.start()
        await _folds(engine, fleet, EVENTS)
        fleet.resume(first)
        # It still has its batch before it asks for partitions again.
        await eventually(lambda: _owns(engine, first), "the first one has joined again")
        await fleet.stop(first)
        await fleet.stop(second)
        fleet.check()
    finally:
        await fleet.kill_all()

    expected: dict[str, Counter[str]] = {}
    for event in events:
        expected.setdefault(event["subject"], Counter())[event["data"]["feature"]] += 1
    async with engine.connect() as connection:
        rows = await states.read(connection, sorted(expected))
    found = {
        row.account_id: Counter({name: sum(days.values()) for name, days in read_state(row).usage.features.items()})
        for row in rows
    }
    assert found == expected


async def _folds(engine: AsyncEngine, fleet: Fleet, records: int) -> None:
    """Wait until a number of records are folded; fails if a consumer dies."""

    async def reached() -> bool:
        fleet.check()
        async with engine.connect() as connection:
            folded: int = sum(row.next_offset for row in await progress.all_partitions(connection))
        return folded >= records

    await eventually(reached, f"{records} records folded")


async def _pause_with_a_batch_in_hand(
    engine: AsyncEngine, fleet: Fleet, member: Member, settings: Settings, records: list[Record]
) -> None:
    """Stop a consumer that has polled records and is about to write them, in no transaction."""
    async with engine.begin() as connection:
        await connection.execute(text("SELECT 1 FROM progress FOR UPDATE"))
        await produce(settings.kafka_bootstrap_servers, records)

        async def writes() -> bool:
            return bool(await query(engine, f"SELECT 1 {_WAITING}"))

        await eventually(writes, "a batch waits for its progress rows")
        fleet.pause(member)
        # Else it would be in the middle of a transaction, and nobody could claim the rows that it has locked.
        await connection.execute(text(f"SELECT pg_terminate_backend(pid) {_WAITING}"))


_WAITING = "FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


async def _owns(engine: AsyncEngine, member: Member) -> bool:
    async with engine.connect() as connection:
        return any(row.owner.endswith(f":{member.worker.pid}") for row in await progress.all_partitions(connection))

"""A consumer process that is ended in the middle, politely or not: each event still counts once."""

import asyncio
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from service.runtime.settings import Settings
from tests.faults.checks import stored_accounts
from tests.support.cloud_events import produce, record, usage
from tests.support.commands import environment
from tests.support.service import eventually, folded_up_to, query

pytestmark = pytest.mark.anyio

EVENTS = 40_000
ACCOUNTS = 300


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
async def test_each_event_counts_once(
    settings: Settings, engine: AsyncEngine, tmp_path: Path, number: signal.Signals
) -> None:
    chance = random.Random(1)
    events = [usage(f"account-{chance.randrange(ACCOUNTS)}", f"feature-{chance.randrange(5)}") for _ in range(EVENTS)]
    await produce(settings.kafka_bootstrap_servers, [record(settings.topic_usage, event) for event in events])
    # Small batches, so that the end comes in the middle of the work.
    env = environment(settings, HEALTH_BATCH_MAX_RECORDS="500", HEALTH_KAFKA_SESSION_SECONDS="2")
    consume = [sys.executable, "-m", "service", "consume"]
    seen = 0
    for _ in range(3):
        with (tmp_path / "consume.log").open("ab") as log:
            process = subprocess.Popen(consume, env=env, stdout=log, stderr=log)
        before = seen

        async def more(before: int = before) -> bool:
            return await _folded(engine) > before

        await eventually(more, "folding goes on", 60)
        process.send_signal(number)
        status = await asyncio.to_thread(process.wait, 30)
        assert status == (0 if number == signal.SIGTERM else -number)
        seen = await _folded(engine)
    assert seen < EVENTS, "it was ended in the middle"

    with (tmp_path / "consume.log").open("ab") as log:
        process = subprocess.Popen(consume, env=env, stdout=log, stderr=log)
    await folded_up_to(engine, EVENTS, 90)
    process.terminate()
    assert await asyncio.to_thread(process.wait, 30) == 0

    expected: dict[str, Counter[str]] = {}
    for event in events:
        expected.setdefault(event["subject"], Counter())[event["data"]["feature"]] += 1
    async with engine.connect() as connection:
        accounts = await stored_accounts(connection)
    found = {
        account.id: Counter({name: sum(days.values()) for name, days in account.state.usage.features.items()})
        for account in accounts.values()
    }
    assert found == expected


async def _folded(engine: AsyncEngine) -> int:
    return int((await query(engine, "SELECT coalesce(sum(next_offset), 0) FROM progress"))[0][0])

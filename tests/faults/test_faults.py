"""Consumers fold a stream while they are killed and paused and their servers restart: in the end all of it is right.

`make faults SEED=… ROUNDS=…` brings other faults, and more.
"""

import asyncio
import logging
import os
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from service.storage.ingest.progress import Partition
from tests.faults import alerts, checks, log, script, truth
from tests.faults.feed import MANNERS, Feed
from tests.faults.fleet import Fleet, tail
from tests.faults.ground import Ground, ground, require_apache_kafka
from tests.faults.script import FIRST
from tests.faults.stream import POISONS, Stream
from tests.faults.striking import SESSION_SECONDS, Strikes
from tests.faults.truth import Truth
from tests.support.commands import environment
from tests.support.sizes import sized

SEED = int(os.environ.get("FAULTS_SEED") or 1)
ROUNDS = int(os.environ.get("FAULTS_ROUNDS") or sized(15, 30))
MANY_ROUNDS = 30
RECORDS = max(sized(190_000, 320_000), ROUNDS * 12_500)
LIMIT = 200 + 8 * ROUNDS
MOST_SHOWN, LONGEST_SHOWN = 30, 300

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(LIMIT + 60)]


async def test_nothing_is_lost_and_nothing_counts_twice(
    server_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "aiokafka")  # it reports every try to reach a broker that is away
    require_apache_kafka()
    async with ground(server_folder) as place, fleet_on(place, tmp_path) as fleet:
        feed = Feed(Stream(SEED, datetime.now(UTC)), place.settings, transactions=True)
        strikes = Strikes(place, fleet, feed)
        try:
            held = await within_limit(put_to_the_test(place, fleet, feed, strikes))
            assert_it_was_hard(held, place, feed, strikes)
        except BaseException as error:
            error.add_note(report(fleet, strikes))
            raise


def assert_it_was_hard(held: Truth, place: Ground, feed: Feed, strikes: Strikes) -> None:
    """A run that had it easy shows nothing."""
    assert held.records > 0.9 * RECORDS
    assert min(held.copies, held.late, held.out_of_order) > held.records // 100
    assert held.tombstones > held.records // 1_000
    assert set(held.poison.values()) == POISONS
    assert feed.manners.keys() == MANNERS
    assert len(held.ends) > len(place.settings.topics) * place.settings.kafka_partitions, "no partition was added"
    assert strikes.struck_at_work > ROUNDS / 2, "most faults came when all was folded: send more, or faster"
    if ROUNDS >= MANY_ROUNDS:  # of few pauses, each may meet others that are being killed: see test_paused_consumer.py
        assert strikes.taken_over, "no paused consumer lost its partitions to another one"


async def put_to_the_test(place: Ground, fleet: Fleet, feed: Feed, strikes: Strikes) -> Truth:
    """A run and its outcome."""
    await run(place, fleet, feed, strikes)
    held = await truth.read(place.settings)
    strikes.note(f"read back: {describe(held)}; chunks sent: {dict(feed.manners)}")
    await compare(place, held, strikes)
    return held


async def within_limit(work: Coroutine[Any, Any, Truth]) -> Truth:
    """The result of `work`; fails if it hangs."""
    try:
        async with asyncio.timeout(LIMIT) as limit:
            return await work
    except TimeoutError:
        assert not limit.expired(), f"not done within {LIMIT} s"
        raise


@asynccontextmanager
async def fleet_on(place: Ground, logs: Path) -> AsyncIterator[Fleet]:
    """Consumers with small batches, so that faults come in the middle of the work."""
    variables = environment(
        place.settings,
        HEALTH_BATCH_MAX_RECORDS="1000",
        HEALTH_MAX_RECORD_BYTES=str(place.settings.max_record_bytes),
        HEALTH_KAFKA_SESSION_SECONDS=str(SESSION_SECONDS),
    )
    fleet = Fleet(variables, logs)
    try:
        yield fleet
    finally:
        await fleet.kill_all()


async def run(place: Ground, fleet: Fleet, feed: Feed, strikes: Strikes) -> None:
    """The faults, and then the time to fold the rest."""
    for _ in range(FIRST):
        await fleet.start()
    feeding = asyncio.create_task(feed.run(RECORDS))
    striking = asyncio.create_task(strike(place, fleet, feed, strikes))
    try:
        await asyncio.wait({feeding, striking}, return_when=asyncio.FIRST_EXCEPTION)
        for task in (feeding, striking):
            if task.done():
                task.result()
    finally:
        feeding.cancel()
        striking.cancel()
    strikes.note(f"all faults are over, {feed.sent:,} records sent")
    await fleet.until_folded(place.engine, await log_end(place))
    strikes.note("all is folded")
    await asyncio.gather(*(fleet.stop(member) for member in fleet.running))
    fleet.check()


async def strike(place: Ground, fleet: Fleet, feed: Feed, strikes: Strikes) -> None:
    """The faults, once folding has begun."""
    feed.release(RECORDS // ROUNDS)
    await fleet.until_folded(place.engine, RECORDS // ROUNDS // 2)
    strikes.note("folding has begun")
    await strikes.carry_out(script.write(SEED, ROUNDS), RECORDS)


async def log_end(place: Ground) -> int:
    """The sum of the next offsets once all is folded."""
    ends: dict[Partition, int] = {}
    async with log.reading(place.settings) as held:
        async for record in held.records():
            ends[record.topic, record.partition] = record.offset + 1
    return sum(ends.values())


async def compare(place: Ground, held: Truth, strikes: Strikes) -> None:
    """Compare all contents of Postgres with the truth."""
    found = await differences(place, held)
    if found:
        shown = "\n".join(each[:LONGEST_SHOWN] for each in found[:MOST_SHOWN])
        raise AssertionError(f"{len(found):,} differences, the first of them:\n{shown}")
    async with place.engine.connect() as connection:
        told = await alerts.stored_alerts(connection)
    strikes.note(f"all is right: {len(told):,} alerts")
    kinds = Counter((alert.account_id.partition("-")[0], alert.rule, alert.state) for alert in told)
    strikes.note(f"alerts: {dict(kinds)}")
    many = RECORDS // 3_750
    assert kinds["falling", "falling", "firing"] > many
    assert kinds["rising", "rising", "firing"] > many
    assert kinds["mixed", "red", "resolved"] > many


async def differences(place: Ground, held: Truth) -> list[str]:
    """Between all that Postgres holds and the truth, in words."""
    async with place.engine.connect() as connection:
        accounts = await checks.stored_accounts(connection)
        verdicts = checks.verdicts_of(accounts, held, place.settings)
        told = await alerts.stored_alerts(connection)
        return [
            *[each async for each in checks.check_offsets(connection, held)],
            *[each async for each in checks.check_dead_letters(connection, held)],
            *checks.check_states(accounts, held, place.settings),
            *[each async for each in checks.check_scores(connection, accounts, verdicts, place.settings)],
            *[each async for each in alerts.check_alerts(connection, told, accounts, verdicts)],
            *[each async for each in checks.check_lists(place.engine)],
        ]


def describe(held: Truth) -> str:
    """The contents of the log, in numbers."""
    return (
        f"{held.records:,} records, {held.copies:,} copies, {held.tombstones:,} tombstones, {held.late:,} late, "
        f"{held.out_of_order:,} out of order, {len(held.poison):,} poison"
    )


def report(fleet: Fleet, strikes: Strikes) -> str:
    """A report of the run, to find the cause of a failure."""
    logs = [f"{member.name}, {member.fate}:\n{tail(member.log)}" for member in fleet.members]
    again = f"To run it again: make faults SEED={SEED} ROUNDS={ROUNDS}"
    return "\n".join([f"SEED={SEED} ROUNDS={ROUNDS}", *strikes.journal, *logs, again])

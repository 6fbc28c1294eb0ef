"""Records that can't be folded, and records that are refused by the hundred."""

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from scoring.state import account_state
from scoring.state.account_state import decode
from scoring.state.usage import UsageState, fold_usage
from scoring.state.usage_batch import Arrivals
from service.runtime.settings import Settings
from service.storage.database.errors import is_poison
from tests.support.api_data import ticket as changed
from tests.support.cloud_events import produce, record, usage
from tests.support.service import consuming, eventually, folded_up_to, query

pytestmark = pytest.mark.anyio


async def test_a_record_that_cannot_be_folded_is_found_in_its_batch_and_refused(
    settings: Settings, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(usage: UsageState, arrived: Arrivals, retention: int) -> None:
        if any(feature == "poison" for _, _, feature, _, _ in arrived.entries):
            raise ZeroDivisionError("of all things")
        fold_usage(usage, arrived, retention)

    monkeypatch.setattr(account_state, "fold_usage", failing)
    features = ["poison" if number in (17, 170, 171) else f"feature-{number % 3}" for number in range(300)]
    records = [record(settings.topic_usage, usage(f"account-{n % 7}", feature)) for n, feature in enumerate(features)]
    await produce(settings.kafka_bootstrap_servers, records)
    async with consuming(settings):
        await folded_up_to(engine, 300)
    refused = await query(engine, "SELECT reason, convert_from(value, 'UTF8') AS value FROM dead_letters")
    assert len(refused) == 3
    assert all('"poison"' in row.value for row in refused)
    assert {row.reason for row in refused} == {"event: can't be folded: ZeroDivisionError: of all things"}
    stored = await query(engine, "SELECT state FROM usage_states")
    assert sum(sum(decode(row.state, None, None, None).usage.days.values()) for row in stored) == 297


FEW = {"dead_letter_max_run": 5}


async def test_no_content_stops_a_partition(settings: Settings, engine: AsyncEngine) -> None:
    """All refused records are stored, and later ones are folded, by a consumer that began with the earlier ones."""
    strict = settings.model_copy(update=FEW)
    topic, key = settings.topic_usage, b"acme"
    good = record(topic, usage("acme"))
    await produce(settings.kafka_bootstrap_servers, [good] * 3)
    async with consuming(strict):
        await folded_up_to(engine, 3)
    bad = usage("acme", source="/s\x00")
    await produce(settings.kafka_bootstrap_servers, [(topic, key, b"no event")] * 20)
    async with consuming(strict):
        await produce(settings.kafka_bootstrap_servers, [record(topic, bad)] * 20)
        await produce(settings.kafka_bootstrap_servers, [record(topic, usage("acme"))])
        await folded_up_to(engine, 44)
    async with consuming(strict):  # all accepted records follow a long run of refused ones
        await produce(settings.kafka_bootstrap_servers, [(topic, key, b"no event")] * 20)
        await produce(settings.kafka_bootstrap_servers, [record(topic, usage("acme"))])
        await folded_up_to(engine, 65)
    assert len(await query(engine, "SELECT 1 FROM dead_letters")) == 60
    assert not await query(engine, "SELECT 1 FROM progress WHERE halted IS NOT NULL")
    assert await counted(engine) == {"acme": 3}


async def test_nor_does_content_that_was_never_taken(settings: Settings, engine: AsyncEngine) -> None:
    strict = settings.model_copy(update=FEW)
    topic, key = settings.topic_usage, b"acme"
    await produce(settings.kafka_bootstrap_servers, [(topic, key, b"no event")] * 20)
    async with consuming(strict):
        await folded_up_to(engine, 20)
    async with consuming(strict):
        await produce(settings.kafka_bootstrap_servers, [(topic, key, b"no event")] * 20)
        await folded_up_to(engine, 40)
    assert len(await query(engine, "SELECT 1 FROM dead_letters")) == 40


async def halts(engine: AsyncEngine, settings: Settings) -> tuple[int, str]:
    """Wait until a partition of usage is halted; its number, and why."""
    found: list[Any] = []

    async def is_halted() -> bool:
        statement = "SELECT partition, halted FROM progress WHERE topic = :topic AND halted IS NOT NULL"
        found[:] = await query(engine, statement, topic=settings.topic_usage)
        return bool(found)

    await eventually(is_halted, "the partition halts")
    return found[0].partition, found[0].halted


async def test_a_deploy_that_refuses_what_the_last_one_took_halts_that_partition_and_no_other(
    settings: Settings, engine: AsyncEngine
) -> None:
    topic = settings.topic_usage
    long, short = usage("acme", extension="x" * 5_000), usage("globex")
    await produce(settings.kafka_bootstrap_servers, [record(topic, {**long, "id": str(n)}) for n in range(10)])
    async with consuming(settings):
        await folded_up_to(engine, 10)
    bad_deploy = settings.model_copy(update={**FEW, "max_record_bytes": 2_000})
    await produce(settings.kafka_bootstrap_servers, [record(topic, {**long, "id": f"b{n}"}) for n in range(10)])
    async with consuming(bad_deploy):
        _, why = await halts(engine, settings)
        assert "this version refuses 10 of 10 records that were accepted before it" in why
        assert "more than 5 records in a row were refused" in why
        assert "at most 2,000 are taken" in why
        await produce(settings.kafka_bootstrap_servers, [record(settings.topic_ticket, changed("globex", "new"))])
        await folded_up_to(engine, 11)  # its neighbours go on
        await produce(settings.kafka_bootstrap_servers, [record(topic, short)])
    assert not await query(engine, "SELECT 1 FROM dead_letters")
    async with consuming(settings.model_copy(update=FEW)):  # rolled back
        await folded_up_to(engine, 22)
    assert (await counted(engine))["acme"] == 20


async def test_so_does_one_that_cannot_fold_what_the_last_one_folded(
    settings: Settings, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = settings.topic_usage
    await produce(settings.kafka_bootstrap_servers, [record(topic, usage("acme")) for _ in range(10)])
    async with consuming(settings):
        await folded_up_to(engine, 10)

    def failing(*_: object) -> None:
        raise ZeroDivisionError("of all things")

    with monkeypatch.context() as patched:
        patched.setattr(account_state, "fold_usage", failing)
        await produce(settings.kafka_bootstrap_servers, [record(topic, usage("acme")) for _ in range(10)])
        async with consuming(settings.model_copy(update=FEW)):
            _, why = await halts(engine, settings)
            assert "this version refuses 10 of 10 records that were accepted before it" in why
            assert "ZeroDivisionError" in why
    assert len(await query(engine, "SELECT 1 FROM dead_letters")) <= 5
    assert await counted(engine) == {"acme": 10}


async def counted(engine: AsyncEngine) -> dict[str, int]:
    rows = await query(engine, "SELECT account_id, state FROM usage_states")
    return {row.account_id: sum(decode(row.state, None, None, None).usage.days.values()) for row in rows}


@pytest.mark.parametrize(
    ("statement", "poison"),
    [
        ("SELECT 1 / 0", True),
        ("SELECT CAST('x' AS int)", True),
        ("INSERT INTO scores (account_id, band) VALUES ('acme', 'purple')", True),
        ("SELECT * FROM not_there", False),
        ("SELECT not_there FROM scores", False),
        ("SELECT pg_terminate_backend(pg_backend_pid())", False),
    ],
)
async def test_what_is_around_a_batch_is_not_blamed_on_its_records(
    engine: AsyncEngine, statement: str, poison: bool
) -> None:
    with pytest.raises(DBAPIError) as raised:
        async with engine.begin() as connection:
            await connection.execute(text(statement))
    assert is_poison(raised.value) == poison


async def test_a_value_that_cannot_be_sent_is_poison(engine: AsyncEngine) -> None:
    with pytest.raises(DBAPIError) as raised:
        async with engine.begin() as connection:
            await connection.execute(text("SELECT CAST(:value AS int)"), {"value": 2**40})
    assert is_poison(raised.value)

"""Records that can't be folded, and records that are refused by the hundred."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from consumers.poison import is_poison
from scoring import state
from scoring.arrivals import Arrivals
from scoring.state import decode
from scoring.usage import UsageState, fold_usage
from service.errors import HealthError
from service.settings import Settings
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

    monkeypatch.setattr(state, "fold_usage", failing)
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


async def test_too_many_refused_in_a_row_stop_the_consumer_before_they_are_written(
    settings: Settings, engine: AsyncEngine
) -> None:
    strict = settings.model_copy(update={"dead_letter_max_run": 5})
    topic, key = settings.topic_usage, b"acme"
    await produce(settings.kafka_bootstrap_servers, [(topic, key, b"no event")] * 5)
    async with consuming(strict):
        await folded_up_to(engine, 5)
    await produce(settings.kafka_bootstrap_servers, [(topic, key, b"no event either")])
    with pytest.raises(HealthError, match=r"more than 5 records in a row .*event: is not JSON.*dead-letters list"):
        async with consuming(strict):
            # Those before the restart count too.
            await eventually(never, "it stops", 5)
    assert len(await query(engine, "SELECT 1 FROM dead_letters")) == 5
    async with consuming(settings):
        await folded_up_to(engine, 6)
    assert len(await query(engine, "SELECT 1 FROM dead_letters")) == 6


async def never() -> bool:
    return False


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

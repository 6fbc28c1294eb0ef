"""Metrics of a consumer, on a real Kafka and a real Postgres."""

from datetime import UTC, datetime, timedelta

import pytest
from aiokafka import AIOKafkaProducer
from sqlalchemy.ext.asyncio import AsyncEngine

from consumers.fold import lag
from service.runtime.settings import Settings
from tests.support.cloud_events import encode, produce, record, usage
from tests.support.kafka_choice import KafkaServer
from tests.support.scraped import Change, value
from tests.support.service import consuming, eventually, folded_up_to, query

pytestmark = pytest.mark.anyio

PHASES = ("decode", "wait", "prepare", "fence", "read", "fold", "write", "commit")


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lag is read often."""
    monkeypatch.setattr(lag, "UPDATE_SECONDS", 0.1)


async def shows(name: str, expected: float, **labels: str) -> None:
    async def shown() -> bool:
        return value(name, **labels) == expected

    await eventually(shown, f"{name}{labels} is {expected}")


async def test_every_record_is_counted_by_what_became_of_it(settings: Settings, engine: AsyncEngine) -> None:
    topic, since = settings.topic_usage, Change()
    now = datetime.now(UTC)
    once = usage("acme", time=(now - timedelta(hours=2)).isoformat())
    too_late = usage("acme", time=(now - timedelta(days=settings.retention_days)).isoformat())
    loaded = usage("acme", time=(now - timedelta(days=50)).isoformat(), backfill=True)
    too_late_loaded = usage("acme", time=(now - timedelta(days=200)).isoformat(), backfill=True)
    events = [once, usage("other"), once, too_late, loaded, too_late_loaded]
    rest = [(topic, b"acme", b"not JSON"), (topic, b"acme", None), (topic, b"", None)]
    async with consuming(settings):
        await produce(settings.kafka_bootstrap_servers, [*(record(topic, each) for each in events), *rest])
        await folded_up_to(engine, 9)
        await shows("health_lag_records", 0, topic=topic)

    def counted(outcome: str) -> float:
        return since.of("health_events_total", topic=topic, outcome=outcome)

    assert [counted(outcome) for outcome in ("folded", "duplicate", "late", "dead_letter")] == [3, 1, 2, 1]
    assert counted("tombstone") == 2
    assert since.of("health_record_lag_seconds_count", topic=topic) == 7
    assert since.of("health_record_lag_seconds_sum", topic=topic) < 7 * 60
    # Two events that happened now, or two hours ago; loaded, repeated and late ones aren't timed.
    assert since.of("health_event_lag_seconds_count", topic=topic) == 2
    assert 7_200 < since.of("health_event_lag_seconds_sum", topic=topic) < 7_200 + 120
    batches = since.of("health_batch_seconds_count")
    assert batches >= 1
    for phase in PHASES[1:]:
        assert since.of("health_batch_phase_seconds_count", phase=phase) == batches, phase
        assert since.of("health_batch_phase_seconds_sum", phase=phase) > 0, phase
    assert since.of("health_batch_phase_seconds_count", phase="decode") >= 1
    assert value("health_dependency_up", dependency="kafka") == 1
    assert value("health_dependency_up", dependency="postgres") == 1


async def test_lag_counts_what_a_halted_partition_keeps_waiting(settings: Settings, engine: AsyncEngine) -> None:
    topic = settings.topic_usage
    events = [usage(f"account-{number}") for number in range(30)]
    await produce(settings.kafka_bootstrap_servers, [record(topic, event) for event in events])
    async with consuming(settings):
        await folded_up_to(engine, 30)
    # The record before isn't the one that was folded: the partition halts where it is.
    back = "UPDATE progress SET fingerprint = 1, next_offset = 2 WHERE partition = 0 AND topic = :t RETURNING 1"
    length = (await query(engine, "SELECT next_offset FROM progress WHERE partition = 0 AND topic = :t", t=topic))[0][0]
    assert len(await query(engine, back, t=topic)) == 1
    async with consuming(settings):
        await shows("health_halted_partitions", 1)
        await shows("health_lag_records", length - 2, topic=topic)


async def test_the_marks_of_transactions_are_no_lag(
    settings: Settings, engine: AsyncEngine, kafka_server: KafkaServer
) -> None:
    if not kafka_server.is_apache:
        pytest.skip("the embedded broker has no transactions")
    topic = settings.topic_usage
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka_bootstrap_servers, transactional_id=f"{settings.kafka_group}-producer"
    )
    async with consuming(settings):
        await producer.start()
        try:
            for number in range(5):
                async with producer.transaction():
                    event = usage(f"account-{number}")
                    await producer.send_and_wait(topic, encode(event), key=event["subject"].encode())
        finally:
            await producer.stop()

        async def folded() -> bool:
            return len(await query(engine, "SELECT 1 FROM scores")) == 5

        await eventually(folded, "all five are folded")
        await shows("health_lag_records", 0, topic=topic)


async def test_lag_is_what_is_waiting_while_postgres_is_away(settings: Settings, engine: AsyncEngine) -> None:
    """While a lock that folding needs is held, arriving records are shown to wait."""
    topic = settings.topic_usage
    async with consuming(settings), engine.connect() as holder:
        await produce(settings.kafka_bootstrap_servers, [record(topic, usage("first"))])
        await folded_up_to(engine, 1)
        await holder.exec_driver_sql("LOCK TABLE scores")
        await produce(settings.kafka_bootstrap_servers, [record(topic, usage(f"account-{n}")) for n in range(9)])
        await shows("health_lag_records", 9, topic=topic)
        await holder.rollback()
        await shows("health_lag_records", 0, topic=topic)

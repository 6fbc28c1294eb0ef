"""Delivery to a topic of the service's own Kafka, on a real broker; and what becomes of it while there is none."""

import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord
from sqlalchemy.ext.asyncio import AsyncEngine

from service.delivery.attempt import AttemptOutcome
from service.delivery.retry import RetryAt, Succeeded
from service.embedded.ports import free_port
from service.storage.webhooks import delivery_log
from service.storage.webhooks.delivery_log import LoggedAttempt
from tests.support.topics import create_topics
from tests.support.webhooks import add_alert, add_endpoint, compact, local_settings, states, until, working

pytestmark = pytest.mark.anyio


async def read(bootstrap: str, topic: str, count: int) -> list[ConsumerRecord]:
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest", isolation_level="read_committed"
    )
    await consumer.start()
    try:
        return [await consumer.getone() for _ in range(count)]
    finally:
        await consumer.stop()


async def attempts(engine: AsyncEngine, outcome: AttemptOutcome) -> list[LoggedAttempt]:
    async with engine.connect() as conn:
        return await delivery_log.attempts(conn, outcome.delivery.id, limit=10)


async def test_alerts_are_records_under_their_accounts_key(
    engine: AsyncEngine, bootstrap: str, topic_prefix: str
) -> None:
    topic = f"{topic_prefix}alerts"
    await create_topics(bootstrap, topic, partitions=3)
    await add_endpoint(engine, f"kafka:{topic}", target="kafka", ordered=True)
    sent = [await add_alert(engine, account, n) for account in ("acme", "beta") for n in (1, 2)]
    sent.append(await add_alert(engine, None, None, type="health.digest", data={"account_id": None, "digest": {}}))
    # Neither sealed nor signed, a record needs no encryption key.
    settings = local_settings(kafka_bootstrap_servers=bootstrap, encryption_key=None)
    async with working(engine, settings) as outcomes:
        await until(lambda: len(outcomes) == 5)
    assert all(isinstance(outcome.outcome, Succeeded) for outcome in outcomes)
    records = {dict(record.headers)["webhook-id"].decode(): record for record in await read(bootstrap, topic, 5)}
    assert records.keys() == {str(alert_id) for alert_id in sent}
    first, digest = records[str(sent[0])], records[str(sent[-1])]
    assert (first.key, digest.key) == (b"acme", None)
    assert dict(first.headers)["content-type"] == b"application/json"
    assert first.value.startswith(b'{"type":"health.threshold.crossed","timestamp":"')
    assert first.value.endswith(
        b',"data":'
        + compact({"account_id": "acme", "account_name": "Sørensen 株式会社", "band": "red", "sequence": 1})
        + b"}"
    )
    acme = [records[str(alert_id)] for alert_id in sent[:2]]
    assert acme[0].partition == acme[1].partition
    assert acme[0].offset < acme[1].offset
    assert await states(engine) == ["succeeded"] * 5


async def test_a_broker_that_is_away_fails_the_attempt_in_time_and_is_tried_again(engine: AsyncEngine) -> None:
    await add_endpoint(engine, "kafka:health-alerts", target="kafka")
    await add_alert(engine, "acme")
    port = free_port()
    settings = local_settings(kafka_bootstrap_servers=f"127.0.0.1:{port}", webhook_timeout_seconds=2)
    async with working(engine, settings) as outcomes:
        await until(lambda: len(outcomes) >= 2)
    assert (outcomes[0].failure, outcomes[0].status) == ("connection", None)
    assert isinstance(outcomes[0].outcome, RetryAt)
    assert outcomes[0].duration_seconds < 2.5
    error = (await attempts(engine, outcomes[0]))[-1].error or ""
    assert error.startswith("Kafka did not confirm the record")
    assert str(port) not in error


async def test_a_topic_that_isn_t_there_fails_the_attempt_within_the_webhook_timeout(
    engine: AsyncEngine, bootstrap: str, topic_prefix: str
) -> None:
    await add_endpoint(engine, f"kafka:{topic_prefix}not-there", target="kafka")
    await add_alert(engine, "acme")
    settings = local_settings(kafka_bootstrap_servers=bootstrap, webhook_timeout_seconds=0.5)
    async with working(engine, settings) as outcomes:
        await until(lambda: outcomes)
    assert outcomes[0].failure == "connection"
    assert outcomes[0].duration_seconds < 1


async def test_a_record_larger_than_the_topic_accepts_is_reported(
    engine: AsyncEngine, bootstrap: str, topic_prefix: str
) -> None:
    topic = f"{topic_prefix}small"
    await create_topics(bootstrap, topic, configs={"max.message.bytes": "200"})
    await add_endpoint(engine, f"kafka:{topic}", target="kafka")
    await add_alert(engine, "acme", data={"account_id": "acme", "account_name": "x" * 1000})
    async with working(engine, local_settings(kafka_bootstrap_servers=bootstrap)) as outcomes:
        await until(lambda: outcomes)
    assert outcomes[0].failure == "protocol"
    assert (await attempts(engine, outcomes[0]))[-1].error == "the topic accepts no record of this size"

"""Messages as records: permitted topics, and the published records."""

import json
from datetime import UTC, datetime
from uuid import UUID

import pytest

from service.delivery.transport.kafka import record_of
from service.delivery.transport.url_rules import check_destination
from service.runtime.errors import HealthError
from service.targets import TARGETS, target_of
from service.targets.message import Message, NoOptions
from tests.support.webhooks import local_settings

KAFKA = target_of("kafka")


@pytest.mark.parametrize("topic", ["health-alerts", "a", "A.b_c-9", "x" * 249])
def test_a_topic_is_accepted_for_kafka_and_for_no_other_target(topic: str) -> None:
    url = f"kafka:{topic}"
    assert check_destination(url, KAFKA, local_settings()) == url
    for name in TARGETS.keys() - {"kafka"}:
        with pytest.raises(HealthError, match=r"^url must start with https"):
            check_destination(url, target_of(name), local_settings())


@pytest.mark.parametrize(
    "url",
    [
        "https://crm.example.com/",
        "health-alerts",
        "KAFKA:health-alerts",
        "kafka:",
        "kafka://health-alerts",
        "kafka:.",
        "kafka:..",
        "kafka:__consumer_offsets",
        "kafka:a b",
        "kafka:a\n",
        "kafka:a/b",
        "kafka:ä",
        "kafka:" + "x" * 250,
    ],
)
def test_what_names_no_topic_is_refused_for_kafka(url: str) -> None:
    with pytest.raises(HealthError, match=r"^url must be kafka: ") as caught:
        check_destination(url, KAFKA, local_settings())
    assert caught.value.remedy


@pytest.mark.parametrize("topic", ["usage-events", "account-events", "ticket-events.dead-letters"])
def test_alerts_never_come_in_as_events(topic: str) -> None:
    with pytest.raises(HealthError, match=r"^url must not name a topic"):
        check_destination(f"kafka:{topic}", KAFKA, local_settings())


@pytest.mark.parametrize(("account_id", "key"), [("株-1", "株-1".encode()), (None, None)])
def test_the_record_is_the_standard_body_under_the_accounts_key(account_id: str | None, key: bytes | None) -> None:
    message = Message(
        UUID(int=7), "health.digest", datetime(2026, 3, 1, tzinfo=UTC), json.dumps({"account_id": account_id})
    )
    body = KAFKA.build(message, NoOptions())
    record = record_of("kafka:health-alerts", message, body)
    assert (record.topic, record.key) == ("health-alerts", key)
    assert record.value == target_of("standard").build(message, NoOptions()).content
    assert dict(record.headers) == {"webhook-id": str(message.id).encode(), "content-type": b"application/json"}

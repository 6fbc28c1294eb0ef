"""The AsyncAPI document describes every topic, and its examples are accepted and sent."""

import json
from typing import Any

import jsonschema
import pytest
import yaml
from typer.testing import CliRunner

from consumers.fold.decode import Refusal, decode
from service.api.docs.asyncapi import document
from service.cli.app import app
from service.delivery.transport.kafka import record_of
from service.messaging.dead_letter_replay import relay_records
from service.messaging.event_schemas import SIGNALS
from service.messaging.topics import dead_letter_topic
from service.runtime.settings import Settings
from service.storage.ingest.dead_letter_listing import DeadLetter
from service.targets import target_of
from service.targets.message import Message, NoOptions
from tests.support.messages import AT, digest, message

SETTINGS = Settings(_env_file=None, topic_usage="shop.usage")
DOCUMENT = document(SETTINGS)
MESSAGES = DOCUMENT["components"]["messages"]


def validated(schema: dict[str, Any], value: Any) -> None:
    """Fails unless a value keeps to one of the document's schemas."""
    whole = {**schema, "components": DOCUMENT["components"]}
    jsonschema.Draft7Validator(whole, format_checker=jsonschema.FormatChecker()).validate(value)


class Record:
    """A record, as consumers get it."""

    def __init__(self, value: bytes, headers: dict[str, str]) -> None:
        self.value = value
        self.headers = [(name, text.encode()) for name, text in headers.items()]
        self.timestamp = round(AT.timestamp() * 1000)


def test_every_topic_is_described_under_its_name() -> None:
    addresses = {channel["address"] for channel in DOCUMENT["channels"].values()}
    topics = set(SETTINGS.topics.values())
    assert "shop.usage" in topics
    assert addresses == topics | {dead_letter_topic(topic) for topic in topics} | {None}
    actions = {
        operation["channel"]["$ref"].rpartition("/")[2]: operation["action"]
        for operation in DOCUMENT["operations"].values()
    }
    assert actions.keys() == DOCUMENT["channels"].keys()
    assert {name for name, action in actions.items() if action == "receive"} == {
        f"{signal}Events" for signal in SIGNALS
    }


def test_no_address_and_no_secret_of_the_installation_is_revealed() -> None:
    told = json.dumps(document(Settings(_env_file=None, kafka_bootstrap_servers="kafka-7.internal:9092")))
    assert "internal" not in told


@pytest.mark.parametrize("name", MESSAGES)
def test_examples_keep_to_their_schemas(name: str) -> None:
    described = MESSAGES[name]
    for example in described.get("examples", []):
        validated(described["payload"], example["payload"])
        if "headers" in example:
            validated(described["headers"], example["headers"])


@pytest.mark.parametrize("signal", SIGNALS)
def test_examples_of_events_are_taken_by_consumers(signal: Any) -> None:
    channel = DOCUMENT["channels"][f"{signal}Events"]
    taken = 0
    for name in channel["messages"]:
        for example in MESSAGES[name]["examples"]:
            record: Any = Record(json.dumps(example["payload"]).encode(), example.get("headers", {}))
            decoded = decode(signal, record, SETTINGS.max_record_bytes)
            assert not isinstance(decoded, Refusal), decoded
            taken += 1
    assert taken == 2


@pytest.mark.parametrize("sent", [message(), message("health.band.changed"), digest("backfill")])
def test_alerts_are_sent_as_they_are_described(sent: Message) -> None:
    target = target_of("kafka")
    record = record_of("kafka:alerts", sent, target.build(sent, NoOptions()))
    described = MESSAGES["AlertRecord"]
    assert record.value is not None
    validated(described["payload"], json.loads(record.value))
    validated(described["headers"], {name: value.decode() for name, value in record.headers if value is not None})
    validated(described["bindings"]["kafka"]["key"], None if record.key is None else record.key.decode())


def test_dead_letters_carry_the_headers_that_are_described() -> None:
    letter = DeadLetter(
        id=1,
        topic="usage-events",
        partition=0,
        offset=7,
        account_id=None,
        reason="event: is not JSON",
        key=None,
        value=b"x",
        headers=[],
        recorded_at=AT,
        created_at=AT,
        replayed_at=None,
        relayed_at=None,
    )
    for form in relay_records(letter):
        headers = {name: value.decode() for name, value in form.headers if value is not None}
        validated(MESSAGES["DeadLetter"]["headers"], headers)
        assert headers.keys() <= MESSAGES["DeadLetter"]["headers"]["properties"].keys()


def test_the_command_prints_the_same_as_yaml_and_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEALTH_TOPIC_USAGE", "shop.usage")
    for options, read in (([], yaml.safe_load), (["--format", "json"], json.loads)):
        result = CliRunner().invoke(app, ["asyncapi", *options])
        assert result.exit_code == 0
        assert read(result.stdout) == DOCUMENT

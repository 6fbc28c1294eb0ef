"""The Kafka of a test run: a given one, else Apache Kafka, else the embedded broker."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from service.embedded.broker import EmbeddedBroker
from service.runtime.errors import HealthError
from tests.support.kafka import ApacheKafka
from tests.support.kafka_jars import Announce, jars, kafka_version, what_is_missing


class ApacheKafkaRequiredError(HealthError):
    """HEALTH_TEST_REQUIRE_KAFKA=1, and Apache Kafka isn't available."""


@dataclass(frozen=True)
class KafkaServer:
    """A running broker; `is_apache` is false for the embedded one, which differs where things fail."""

    bootstrap: str
    is_apache: bool


def given_address() -> str | None:
    """The broker that HEALTH_TEST_KAFKA names, if it does."""
    return os.environ.get("HEALTH_TEST_KAFKA")


def is_required() -> bool:
    """True if HEALTH_TEST_REQUIRE_KAFKA forbids the embedded broker."""
    return os.environ.get("HEALTH_TEST_REQUIRE_KAFKA") == "1"


def describe() -> str:
    """One line for people: the Kafka of this run, and the reason."""
    if address := given_address():
        return f"the one at {address}, from HEALTH_TEST_KAFKA"
    if missing := what_is_missing():
        return missing_apache_kafka(missing)
    return f"Apache Kafka {kafka_version()}, started when a test needs it"


def missing_apache_kafka(why: str) -> str:
    """One line for people: the consequence of missing Apache Kafka, for the reason `why`."""
    if is_required():
        return f"NONE: {why}, and HEALTH_TEST_REQUIRE_KAFKA=1 forbids the embedded broker"
    return f"NOT APACHE KAFKA BUT THE EMBEDDED BROKER, because {why}"


@contextmanager
def run_kafka(folder: Path, announce: Announce) -> Iterator[KafkaServer]:
    """A broker until the end of the block; raises `ApacheKafkaRequiredError` if only Apache Kafka will do."""
    if address := given_address():
        yield KafkaServer(address, is_apache=True)
        return
    if prepare(announce):
        with EmbeddedBroker(folder) as broker:
            yield KafkaServer(broker.address, is_apache=False)
        return
    with ApacheKafka(folder, announce=announce) as kafka:
        yield KafkaServer(kafka.address, is_apache=True)


def prepare(announce: Announce) -> str | None:
    """Fetch Apache Kafka unless a broker is given; the reason why it isn't available, if so.

    Raises `ApacheKafkaRequiredError` if only Apache Kafka will do.
    """
    why = None if given_address() else _what_prevents_apache_kafka(announce)
    if why:
        announce(f"Kafka: {missing_apache_kafka(why)}")
    if why and is_required():
        raise ApacheKafkaRequiredError(
            f"The tests need Apache Kafka, but {why}",
            "Install Java 17 and Maven, or set HEALTH_TEST_KAFKA to the address of a broker",
        )
    return why


def _what_prevents_apache_kafka(announce: Announce) -> str | None:
    if why := what_is_missing():
        return why
    try:
        jars(announce)
    except HealthError as error:
        return str(error)
    return None

"""Other people's clients of Kafka as producers: librdkafka, kafkajs and Apache Kafka's own in Java."""

import base64
import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from confluent_kafka import Producer

from tests.support import javascript
from tests.support.kafka_jars import POM, jars

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
SECONDS = 120


class Sent(NamedTuple):
    """A record to send."""

    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()


Batches = Mapping[str, Sequence[Sent]]
"""Producers by codec."""


def librdkafka(bootstrap: str, topic: str, batches: Batches) -> None:
    """Send with confluent-kafka, which is librdkafka in Python."""
    for codec, records in batches.items():
        producer = Producer({"bootstrap.servers": bootstrap, "compression.type": codec, "linger.ms": 50})
        for record in records:
            producer.produce(topic, key=record.key, value=record.value, headers=list(record.headers))
        assert producer.flush(SECONDS) == 0


def kafkajs(bootstrap: str, topic: str, batches: Batches) -> None:
    """Send with kafkajs."""
    taken = javascript.answer_of(javascript.FOLDER / "produce.cjs", _asked(bootstrap, topic, batches))
    assert taken == sum(map(len, batches.values()))


def java(bootstrap: str, topic: str, batches: Batches) -> None:
    """Send with Apache Kafka's own client, each batch in a transaction that is aborted, then in one that isn't."""
    command = [
        "java",
        "-cp",
        f"{jars()}/*",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
        str(POM.parent / "Produce.java"),
    ]
    given = json.dumps(_asked(bootstrap, topic, batches)).encode()
    result = subprocess.run(command, input=given, capture_output=True, timeout=SECONDS, check=False)
    assert result.returncode == 0, result.stderr.decode()
    assert int(result.stdout) == sum(map(len, batches.values()))


CLIENTS: Mapping[str, Callable[[str, str, Batches], None]] = {
    "librdkafka": librdkafka,
    "kafkajs": kafkajs,
    "java": java,
}


def _asked(bootstrap: str, topic: str, batches: Batches) -> dict[str, Any]:
    return {
        "bootstrap": bootstrap,
        "topic": topic,
        "batches": [
            {
                "codec": codec,
                "records": [
                    {
                        "key": _text(record.key),
                        "value": _text(record.value),
                        "headers": [[name, _text(value)] for name, value in record.headers],
                    }
                    for record in records
                ],
            }
            for codec, records in batches.items()
        ],
    }


def _text(raw: bytes | None) -> str | None:
    return None if raw is None else base64.b64encode(raw).decode()

"""Problems of topics that somebody else created."""

import pytest

from service.messaging.foreign_topics import describe, find_problems

GOOD = {
    "message.timestamp.type": "LogAppendTime",
    "cleanup.policy": "delete",
    "max.message.bytes": "1048588",
    "retention.ms": "604800000",
}


@pytest.mark.parametrize(
    ("changed", "fixed_by"),
    [
        ({}, []),
        ({"message.timestamp.type": "CreateTime"}, ["message.timestamp.type=LogAppendTime"]),
        ({"cleanup.policy": "compact"}, ["cleanup.policy=delete"]),
        ({"cleanup.policy": "compact,delete"}, ["cleanup.policy=delete"]),
        ({"max.message.bytes": "262143"}, ["max.message.bytes=266240"]),
        ({"max.message.bytes": "262144"}, []),
        ({"retention.ms": "3600000"}, ["retention.ms=604800000"]),
        ({"retention.ms": "-1"}, []),
        ({"retention.ms": None, "max.message.bytes": "", "cleanup.policy": None}, []),
    ],
)
def test_what_a_topic_lacks(changed: dict[str, str | None], fixed_by: list[str]) -> None:
    assert [each.fixed_by for each in find_problems({**GOOD, **changed}, 262_144)] == fixed_by


def test_what_is_not_known_is_taken_to_be_right() -> None:
    assert find_problems({}, 262_144) == []


def test_one_command_mends_all() -> None:
    found = find_problems({**GOOD, "message.timestamp.type": "CreateTime", "cleanup.policy": "compact"}, 262_144)
    topic = describe("usage-events", found, "kafka:9092")
    assert topic.remedy == (
        "kafka-configs --bootstrap-server kafka:9092 --alter --entity-type topics --entity-name usage-events"
        " --add-config message.timestamp.type=LogAppendTime,cleanup.policy=delete"
    )
    assert topic.problems.count("; ") == 1

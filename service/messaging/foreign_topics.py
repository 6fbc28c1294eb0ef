"""Checks topics that somebody else created: their problems for this service, and the command that fixes them.

A topic with such problems works all the same, so nothing here fails.
"""

import asyncio
from collections.abc import Collection, Mapping
from typing import NamedTuple

import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from service.messaging.client_config import CLIENT_ID, client_arguments
from service.runtime.settings import Settings

log = structlog.get_logger(__name__)

PATIENCE_SECONDS = 5.0
SHORTEST_RETENTION_MS = 24 * 3_600_000
"""The least retention that a topic should have: consumers may be away so long without losing anything."""
INSPECTED_SETTINGS = ("message.timestamp.type", "cleanup.policy", "max.message.bytes", "retention.ms")


class TopicProblem(NamedTuple):
    """A problem of a topic's configuration, and the settings that fix it."""

    problem: str
    fixed_by: str


class ForeignTopic(NamedTuple):
    """A topic with problems."""

    name: str
    problems: str
    remedy: str


def find_problems(config: Mapping[str, str | None], max_record_bytes: int) -> list[TopicProblem]:
    """The problems of a topic with this configuration; unknown settings are taken to be right."""
    found = []
    if config.get("message.timestamp.type") == "CreateTime":
        found.append(
            TopicProblem(
                "producers set its timestamps (message.timestamp.type=CreateTime), and future ones are refused",
                "message.timestamp.type=LogAppendTime",
            )
        )
    if "compact" in (config.get("cleanup.policy") or ""):
        found.append(
            TopicProblem(
                "compaction deletes all but an account's newest event (cleanup.policy=compact), even unfolded ones",
                "cleanup.policy=delete",
            )
        )
    largest = _number(config.get("max.message.bytes"))
    if largest is not None and largest < max_record_bytes:
        found.append(
            TopicProblem(
                f"it accepts records of at most {largest:,} bytes, and HEALTH_MAX_RECORD_BYTES is {max_record_bytes:,}",
                f"max.message.bytes={max_record_bytes + _OVERHEAD}",
            )
        )
    retention_ms = _number(config.get("retention.ms"))
    if retention_ms is not None and 0 <= retention_ms < SHORTEST_RETENTION_MS:
        found.append(
            TopicProblem(
                f"it keeps records for {retention_ms / 3_600_000:,.1f} h, and records not folded by then are lost",
                f"retention.ms={7 * SHORTEST_RETENTION_MS}",
            )
        )
    return found


_OVERHEAD = 4_096
"""The bytes of a batch of one record besides its value: its key, its headers and its own header."""


def _number(text: str | None) -> int | None:
    try:
        return int(text or "")
    except ValueError:
        return None


def describe(name: str, found: Collection[TopicProblem], bootstrap_servers: str) -> ForeignTopic:
    """Describe a topic with its problems (at least one), and the one command that fixes all of them."""
    fixes = ",".join(f"[{each.fixed_by}]" if "," in each.fixed_by else each.fixed_by for each in found)
    return ForeignTopic(
        name,
        "; ".join(each.problem for each in found),
        f"kafka-configs --bootstrap-server {bootstrap_servers} --alter --entity-type topics --entity-name {name}"
        f" --add-config {fixes}",
    )


async def inspect(settings: Settings) -> list[ForeignTopic]:
    """The topics of the settings that have problems.

    Empty if Kafka can't be asked: it is unavailable, or the service lacks the DescribeConfigs right, or the broker
    doesn't support the request.
    """
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            configs = await _configs(settings)
    except (KafkaError, OSError, TimeoutError) as error:
        log.debug("topics_not_looked_at", reason=str(error) or type(error).__name__)
        return []
    return [
        describe(name, found, settings.kafka_bootstrap_servers)
        for name, config in configs.items()
        if (found := find_problems(config, settings.max_record_bytes))
    ]


async def warn(settings: Settings) -> None:
    """Log the problems of topics."""
    for topic in await inspect(settings):
        log.warning("topic_lacks", topic=topic.name, why=topic.problems, remedy=topic.remedy)


async def _configs(settings: Settings) -> dict[str, dict[str, str | None]]:
    admin = AIOKafkaAdminClient(**client_arguments(settings), client_id=CLIENT_ID)
    try:
        await admin.start()
        wanted = dict.fromkeys(INSPECTED_SETTINGS)
        asked = [ConfigResource(ConfigResourceType.TOPIC, name, wanted) for name in settings.topics.values()]
        found: dict[str, dict[str, str | None]] = {}
        for answer in await admin.describe_configs(asked):
            for code, _, _, name, entries in answer.resources:
                if code == 0:
                    found[name] = {entry[0]: entry[1] for entry in entries}
        return found
    finally:
        await admin.close()

"""The service's Kafka topics."""

import asyncio
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaConnectionError, KafkaError, TopicAlreadyExistsError, for_code

from service.messaging.client_config import CLIENT_ID, client_arguments
from service.messaging.kafka_availability import unreachable
from service.messaging.kafka_errors import refusal_in
from service.runtime.errors import HealthError
from service.runtime.settings import Settings

MOST_REPLICAS = 3
PATIENCE_SECONDS = 30.0
TOPIC_CONFIG = {
    # The broker stamps records itself, so that retention and replay don't depend on producers' clocks.
    "message.timestamp.type": "LogAppendTime",
}
_DEAD_LETTER_ROOM = 1_048_576
"""The bytes that a dead-letter topic accepts beyond those of consumers: reason, coordinates, and records too large."""


def dead_letter_topic(topic: str) -> str:
    """The topic to which the dead letters of a topic are relayed, if they are."""
    return f"{topic}.dead-letters"


async def create_topics(settings: Settings) -> dict[str, bool]:
    """Create the missing topics; returns for each whether it was created. Raises `HealthError`."""
    admin = AIOKafkaAdminClient(**client_arguments(settings), client_id=CLIENT_ID)
    try:
        await admin.start()
        brokers = len((await admin.describe_cluster())["brokers"])
        replication = settings.kafka_replication or min(MOST_REPLICAS, brokers)
        created = {}
        for topic in _wanted(settings, replication):
            answer = await admin.create_topics([topic])
            created[topic.name] = _was_created(topic.name, answer.topic_errors)
        await _until_usable(admin, [name for name, is_new in created.items() if is_new])
    except KafkaConnectionError as error:
        raise await unreachable(settings, error) from None
    else:
        return created
    finally:
        await admin.close()


async def partitions_of(settings: Settings, topic: str) -> int:
    """The number of partitions of a topic; 0 if there is none that we may see. Creates none. Raises `HealthError`."""
    admin = AIOKafkaAdminClient(**client_arguments(settings), client_id=CLIENT_ID)
    try:
        await admin.start()
        # All of them: asking for one by name would create it on brokers with automatic creation.
        found = {each["topic"]: each["partitions"] for each in await admin.describe_topics()}
    except KafkaError as error:
        raise await unreachable(settings, error) from None
    else:
        return len(found.get(topic, ()))
    finally:
        await admin.close()


def _wanted(settings: Settings, replication: int) -> list[NewTopic]:
    names = settings.topics.values()
    topics = [NewTopic(name, settings.kafka_partitions, replication, topic_configs=TOPIC_CONFIG) for name in names]
    if settings.dead_letter_topics:
        largest = max(settings.max_record_bytes, _DEAD_LETTER_ROOM) + _DEAD_LETTER_ROOM
        config = {**TOPIC_CONFIG, "max.message.bytes": str(largest)}
        # One partition: few records, in the order in which they were refused.
        topics += [NewTopic(dead_letter_topic(name), 1, replication, topic_configs=config) for name in names]
    return topics


async def _until_usable(admin: AIOKafkaAdminClient, names: list[str]) -> None:
    """Wait until every partition has a leader: brokers answer before they know a new topic."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while names and not all(map(_is_led, await admin.describe_topics(names))):  # noqa: ASYNC110 - no event
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise HealthError(
            f"Kafka has no leader for {', '.join(names)} yet", "Check the brokers, then try again"
        ) from None


def _is_led(topic: dict[str, Any]) -> bool:
    partitions = topic["partitions"]
    return bool(partitions) and all(partition["leader"] >= 0 for partition in partitions)


def _was_created(name: str, errors: list[tuple[str, int, str]]) -> bool:
    code = errors[0][1]
    if code == 0:
        return True
    error: type[KafkaError] = for_code(code)
    if error is TopicAlreadyExistsError:
        return False
    if refused := refusal_in(error()):
        raise refused
    raise HealthError(f"Topic {name} can't be created: {errors[0][2] or error.__name__}", "Ask the broker's operator")

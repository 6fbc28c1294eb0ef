"""The service's topics in Kafka."""

import asyncio
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaConnectionError, KafkaError, TopicAlreadyExistsError, for_code

from service.errors import HealthError
from service.settings import Settings

MOST_REPLICAS = 3
PATIENCE_SECONDS = 30.0
TOPIC_CONFIG = {
    # The broker stamps records itself, so that retention and replay don't hang on producers' clocks.
    "message.timestamp.type": "LogAppendTime",
}


async def create_topics(settings: Settings) -> dict[str, bool]:
    """Create the topics that are missing; says for each whether it was created. Raises `HealthError`."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap_servers, client_id="account-health")
    try:
        await admin.start()
        brokers = len((await admin.describe_cluster())["brokers"])
        replication = settings.kafka_replication or min(MOST_REPLICAS, brokers)
        created = {}
        for name in settings.topics.values():
            topic = NewTopic(
                name,
                num_partitions=settings.kafka_partitions,
                replication_factor=replication,
                topic_configs=TOPIC_CONFIG,
            )
            answer = await admin.create_topics([topic])
            created[name] = _was_created(name, answer.topic_errors)
        await _until_usable(admin, [name for name, is_new in created.items() if is_new])
    except KafkaConnectionError as error:
        raise HealthError(
            f"Kafka can't be reached: {error}", "Check HEALTH_KAFKA_BOOTSTRAP_SERVERS and that the broker runs"
        ) from None
    else:
        return created
    finally:
        await admin.close()


async def _until_usable(admin: AIOKafkaAdminClient, names: list[str]) -> None:
    """Brokers answer before they know a new topic: wait until every partition has a leader."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while names and not all(map(_is_led, await admin.describe_topics(names))):  # noqa: ASYNC110 - no event
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise HealthError(
            f"Kafka has no leader for {', '.join(names)} yet", "Look at the brokers, then try again"
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
    raise HealthError(f"Topic {name} can't be created: {errors[0][2] or error.__name__}", "Ask the broker's operator")

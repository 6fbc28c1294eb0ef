"""Topics for tests."""

import asyncio
from collections.abc import Mapping

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import for_code


async def create_topics(
    bootstrap: str, *names: str, partitions: int = 1, configs: Mapping[str, str] | None = None
) -> None:
    """Create topics, and return when clients can use them: brokers answer before they know a new topic."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        response = await admin.create_topics(
            [NewTopic(name, partitions, 1, topic_configs=dict(configs or {})) for name in names]
        )
        for name, code, message in response.topic_errors:
            if code:
                raise for_code(code)(f"{name}: {message}")
        while not _all_led(await admin.describe_topics(list(names)), partitions):
            await asyncio.sleep(0.01)
    finally:
        await admin.close()


def _all_led(topics: list[dict[str, list[dict[str, int]]]], partitions: int) -> bool:
    return all(
        len(topic["partitions"]) == partitions and all(part["leader"] >= 0 for part in topic["partitions"])
        for topic in topics
    )

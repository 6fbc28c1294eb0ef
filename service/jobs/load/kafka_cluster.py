"""Metadata of a Kafka cluster and its topics, and its errors with remedies for the user of a load."""

import asyncio
import time
from collections.abc import Collection

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError, KafkaError, KafkaTimeoutError, MessageSizeTooLargeError

from service.messaging.client_config import client_arguments
from service.messaging.kafka_availability import why_refused
from service.messaging.kafka_errors import refusal_in
from service.runtime.errors import HealthError
from service.runtime.settings import Settings

CLIENT_ID = "account-health-load"
NEW_TOPIC_SECONDS = 3.0
"""The seconds for which a topic may be missing: brokers learn of a new one with a delay."""


class KafkaCluster:
    """The cluster that the settings lead to. Methods raise `HealthError` on failure."""

    def __init__(self, settings: Settings) -> None:
        """Call it inside an event loop, then `start`. Raises `HealthError` if the settings can't be used."""
        self.servers = settings.kafka_bootstrap_servers
        self.connection = client_arguments(settings)
        """The connection's arguments."""
        self.id = self.servers
        """The cluster's own id; its address, if it has none."""
        self._admin = AIOKafkaAdminClient(**self.connection, client_id=CLIENT_ID)
        self._settings = settings

    async def start(self) -> None:
        """Connect."""
        try:
            await self._admin.start()
            self.id = (await self._admin.describe_cluster()).get("cluster_id") or self.servers
        except (KafkaError, ValueError) as error:
            raise await why_refused(self._settings, error) or self.to_operator_error(error) from None

    async def stop(self) -> None:
        """Disconnect."""
        await self._admin.close()

    async def partitions(self, topics: Collection[str]) -> dict[str, int]:
        """The number of partitions of each of the topics that exist."""
        try:
            found = await self._admin.describe_topics()  # of all topics, as asking for one by name may create it
        except KafkaError as error:
            raise self.to_operator_error(error) from None
        return {topic["topic"]: len(topic["partitions"]) for topic in found if topic["topic"] in topics}

    async def require(self, topics: Collection[str]) -> dict[str, int]:
        """The number of partitions of each topic; all must exist."""
        patience = time.monotonic() + NEW_TOPIC_SECONDS
        while missing := sorted(set(topics) - (found := await self.partitions(topics)).keys()):
            if time.monotonic() > patience:
                raise HealthError(
                    f"Kafka at {self.servers} has no topic {missing[0]}", "Run: account-health topics create"
                )
            await asyncio.sleep(0.1)
        return found

    async def records_written(self, topics: Collection[str]) -> int:
        """The number of records ever written to the topics, including those deleted since."""
        return sum((await self.ends(topics)).values())

    async def ends(self, topics: Collection[str]) -> dict[tuple[str, int], int]:
        """The next offset of each partition of the topics."""
        partitions = [
            TopicPartition(topic, number)
            for topic, count in (await self.partitions(topics)).items()
            for number in range(count)
        ]
        consumer = AIOKafkaConsumer(**self.connection, client_id=CLIENT_ID)
        try:
            await consumer.start()
            found = await consumer.end_offsets(partitions)
            return {(each.topic, each.partition): offset for each, offset in found.items()}
        except KafkaError as error:
            raise self.to_operator_error(error) from None
        finally:
            await consumer.stop()

    def to_operator_error(self, error: BaseException) -> HealthError:
        """The error with a remedy for the user."""
        if refused := refusal_in(error):
            return refused
        kafka = f"Kafka at {self.servers}"
        match error:
            case KafkaConnectionError() | ValueError():
                return HealthError(
                    f"{kafka} can't be reached",
                    "Check HEALTH_KAFKA_BOOTSTRAP_SERVERS and HEALTH_KAFKA_SECURITY_PROTOCOL, and that the broker runs",
                )
            case KafkaTimeoutError():
                return HealthError(f"{kafka} has stopped answering")
            case MessageSizeTooLargeError():
                return HealthError(
                    f"{kafka} doesn't accept batches of 0.5 MB",
                    "Raise max.message.bytes of the topic to its default, 1 MB",
                )
            case _:
                return HealthError(f"{kafka} answered with an error: {str(error) or type(error).__name__}")

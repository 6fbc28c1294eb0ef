"""Sends a message as a record to the service's own Kafka, instead of an HTTP request."""

import asyncio
from http import HTTPStatus

from service.delivery.transport.http import Reply
from service.delivery.transport.url_rules import topic_of
from service.messaging.kafka_errors import KafkaRefusesError
from service.messaging.publisher import NotPublishedError, Publisher, RawRecord, RecordTooLargeError
from service.targets.message import Body, Message

CONFIRMED = Reply(status=HTTPStatus.OK)
"""Kafka's confirmation counts as a 200, so that an attempt reads the same for every transport."""


def record_of(url: str, message: Message, body: Body) -> RawRecord:
    """The record of a message: an account's messages share a partition, and so stay in order; those about many go
    anywhere.
    """
    account_id = message.facts.account_id
    return RawRecord(
        topic=topic_of(url),
        key=None if account_id is None else account_id.encode(),
        value=body.content,
        headers=(("webhook-id", str(message.id).encode()), ("content-type", body.content_type.encode())),
    )


async def publish(publisher: Publisher, record: RawRecord, timeout_seconds: float) -> Reply:
    """Publish the record and wait for every in-sync replica; failures are in the reply.

    Takes no longer than `timeout_seconds`, connecting included.
    """
    try:
        async with asyncio.timeout(timeout_seconds):
            await publisher.publish([record])
    except RecordTooLargeError:
        return Reply(failure="protocol", error="the topic accepts no record of this size")
    except (NotPublishedError, TimeoutError) as error:
        if isinstance(error.__cause__, KafkaRefusesError):
            return Reply(failure="connection", error=error.__cause__.problem)
        # Not the error's text: it names brokers.
        cause = type(error.__cause__ or error).__name__
        return Reply(
            failure="connection", error=f"Kafka did not confirm the record: it is away, or has no such topic ({cause})"
        )
    return CONFIRMED

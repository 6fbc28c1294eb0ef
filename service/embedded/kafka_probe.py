"""What a Kafka client sees, for those who wait for a broker."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from service.embedded.ports import listens


def answers(port: int) -> bool:
    """Whether a broker on 127.0.0.1:`port` tells clients about itself: it is past loading its data then.

    Blocks. Works with and without a running event loop.
    """
    if not listens(port):  # the client would log an error for each try
        return False
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, _knows_a_broker(f"127.0.0.1:{port}")).result()


async def _knows_a_broker(bootstrap: str) -> bool:
    client = AIOKafkaClient(bootstrap_servers=bootstrap, request_timeout_ms=30_000)
    try:
        await client.bootstrap()
        return bool(client.cluster.brokers())
    except KafkaError:
        return False
    finally:
        await client.close()

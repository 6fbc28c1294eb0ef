"""What the log holds from an offset on, asked for once more and read with patience."""

from collections import defaultdict
from collections.abc import Mapping

from aiokafka import AIOKafkaClient, TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED
from aiokafka.protocol.fetch import FetchRequest

from consumers.fold.record_batches import Fetched, Reading, read
from service.messaging.client_config import CLIENT_ID, client_arguments
from service.runtime.settings import Settings
from service.storage.ingest.progress import Partition

MOST_BYTES = 1024 * 1024
"""Of a partition; a batch that is larger comes whole all the same."""
MOST_BYTES_AT_ONCE = 50 * MOST_BYTES
WAIT_MILLISECONDS = 100
_WITH_ABORTED, _WITH_REPLICA = 4, 11
"""From which versions of the answer on it tells of aborted transactions, and of a replica behind these."""


async def reread(settings: Settings, offsets: Mapping[Partition, int]) -> dict[Partition, Reading]:
    """What can be read of partitions from these offsets on, a bite of each. Raises `KafkaError`.

    Where a partition has no leader, or its leader doesn't answer for it, it is left out.
    """
    client = AIOKafkaClient(**client_arguments(settings), client_id=CLIENT_ID)
    try:
        await client.bootstrap()
        await client.set_topics({topic for topic, _ in offsets})
        by_leader: dict[int, list[Partition]] = defaultdict(list)
        for partition in offsets:
            leader = client.cluster.leader_for_partition(TopicPartition(*partition))
            if leader is not None and leader >= 0:
                by_leader[leader].append(partition)
        found: dict[Partition, Reading] = {}
        for leader, partitions in by_leader.items():
            fetched = await _ask(client, leader, {partition: offsets[partition] for partition in partitions})
            found |= {partition: read(partition, each, offsets[partition]) for partition, each in fetched.items()}
        return found
    finally:
        await client.close()


async def _ask(client: AIOKafkaClient, leader: int, offsets: Mapping[Partition, int]) -> dict[Partition, Fetched]:
    topics: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
    for (topic, number), offset in offsets.items():
        topics[topic].append((number, offset, MOST_BYTES))
    request = FetchRequest(WAIT_MILLISECONDS, 1, MOST_BYTES_AT_ONCE, READ_COMMITTED, list(topics.items()))
    answer = await client.send(leader, request)
    found = {}
    for topic, partitions in answer.topics:
        for number, error, end, *rest in partitions:
            if not error:
                aborted = rest[2] if answer.API_VERSION >= _WITH_REPLICA else rest[-2]
                found[topic, number] = Fetched(
                    rest[-1] or b"", (aborted or []) if answer.API_VERSION >= _WITH_ABORTED else [], end
                )
    return found

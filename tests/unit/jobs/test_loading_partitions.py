"""Loaded events go where Kafka's own clients send the account's live events."""

import pytest

from service.jobs.load.batch_producer import Places, partition_of

BY_KAFKA = [
    ("21", 0),
    ("foobar", 6),
    ("a-little-bit-long-string", 8),
    ("a-little-bit-longer-string", 11),
    ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", 5),
    ("abc", 3),
    ("0", 8),
    ("acct-1", 2),
    ("Größe", 7),
    ("客户-7", 7),
]
"""Results of the Java client's `BuiltInPartitioner.partitionForKey` (Apache Kafka 4.1) for 12 partitions."""


@pytest.mark.parametrize(("account_id", "partition"), BY_KAFKA)
def test_the_partition_is_the_one_kafka_chooses(account_id: str, partition: int) -> None:
    assert partition_of(account_id.encode(), 12) == partition


def test_places_are_remembered_as_they_were_found() -> None:
    places = Places(12)
    for _ in range(2):
        for account_id, partition in BY_KAFKA:
            assert places.of(account_id) == (account_id.encode(), partition)

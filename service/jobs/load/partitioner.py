"""Which partition an account's events go to."""

from aiokafka.partitioner import murmur2


def partition_of(key: bytes, partitions: int) -> int:
    """The partition that Kafka's own clients choose for a key, so that an account's loaded and live events meet."""
    hashed: int = murmur2(key)
    return (hashed & 0x7FFFFFFF) % partitions


class Places:
    """The key and partition of accounts in one topic; remembers them, as hashing in Python takes microseconds."""

    def __init__(self, partitions: int) -> None:
        """`partitions` is how many the topic has."""
        self._partitions = partitions
        self._known: dict[str, tuple[bytes, int]] = {}

    def of(self, account_id: str) -> tuple[bytes, int]:
        """The record key of the account's events, and their partition."""
        place = self._known.get(account_id)
        if place is None:
            key = account_id.encode()
            place = self._known[account_id] = (key, partition_of(key, self._partitions))
        return place

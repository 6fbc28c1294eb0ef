"""Seeded usage events, as arrays; each one as the CloudEvent that goes to Kafka; and producing them there."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder
from numpy.typing import NDArray

from benchmarks.harness import account_id
from service.jobs.load.batch_producer import partition_of

Distribution = Literal["zipf", "uniform"]
Numbers = NDArray[np.int64]

FEATURES = (
    "login", "dashboard", "reports", "export", "search", "comments", "automations", "integrations", "alerts", "billing",
    "api", "admin",
)  # fmt: skip
USERS_PER_ACCOUNT = 20
HISTORY_DAYS = 60
ZIPF_EXPONENT = 1.2
MILLISECONDS_PER_DAY = 86_400_000
CHUNK = 20_000
BATCH_BYTES = 256 * 1024
TICK_SECONDS = 0.005


@dataclass(frozen=True)
class Workload:
    """Events in the order in which they are produced. Times are milliseconds since 1970."""

    name: str
    """Part of every event's source, so that no two workloads share an event's identity."""
    accounts: int
    partitions: int
    account: Numbers
    feature: Numbers
    user: Numbers
    quantity: Numbers
    time: Numbers

    def __len__(self) -> int:
        return len(self.account)

    @cached_property
    def partition(self) -> Numbers:
        """The partition of each event, by Kafka's default partitioner."""
        places = np.zeros(self.accounts, dtype=np.int64)
        for number in np.unique(self.account).tolist():
            places[number] = partition_of(account_id(number).encode(), self.partitions)
        chosen: Numbers = places[self.account]
        return chosen

    @cached_property
    def offset(self) -> Numbers:
        """The place of each event in its partition of an empty topic."""
        offsets = np.zeros(len(self), dtype=np.int64)
        for partition in range(self.partitions):
            mine = np.flatnonzero(self.partition == partition)
            offsets[mine] = np.arange(len(mine))
        return offsets

    def values(self, places: Numbers) -> list[bytes]:
        """The CloudEvents at these places."""
        times = np.datetime_as_string(self.time[places].astype("datetime64[ms]"))
        columns = [self.account[places], self.feature[places], self.user[places], self.quantity[places], times]
        rows = zip(places.tolist(), *(column.tolist() for column in columns), strict=True)
        return [
            f'{{"specversion":"1.0","id":"01890a5d-ac96-774b-bcce-{place:012x}","source":"/product/{self.name}",'
            f'"type":"usage.recorded","subject":"{account_id(account)}","time":"{time}Z",'
            f'"data":{{"feature":"{FEATURES[feature]}",'
            f'"user_id":"user-{account:07d}-{user:02d}","quantity":{quantity}}}}}'.encode()
            for place, account, feature, user, quantity, time in rows
        ]

    def chunks(self) -> Iterator[tuple[list[int], list[bytes], list[bytes]]]:
        """Partitions, keys and values of all events, some thousands at a time."""
        for start in range(0, len(self), CHUNK):
            places = np.arange(start, min(start + CHUNK, len(self)))
            keys = [account_id(number).encode() for number in self.account[places].tolist()]
            yield self.partition[places].tolist(), keys, self.values(places)


def draw(
    name: str, distribution: Distribution, *, events: int, accounts: int, partitions: int, seed: int, newest: int
) -> Workload:
    """Events spread over the `HISTORY_DAYS` before `newest` (milliseconds), each account with some users."""
    random = np.random.default_rng(seed)
    return Workload(
        name=name,
        accounts=accounts,
        partitions=partitions,
        account=draw_accounts(distribution, events, accounts, random),
        feature=random.integers(0, len(FEATURES), events),
        user=random.integers(0, USERS_PER_ACCOUNT, events),
        quantity=random.integers(1, 6, events),
        # In the order in which things happened, as logs are.
        time=np.sort(newest - random.integers(0, HISTORY_DAYS * MILLISECONDS_PER_DAY, events)),
    )


def cycle(name: str, *, events: int, accounts: int, seed: int, newest: int) -> Workload:
    """Events of one partition in which any run of up to `accounts` events has that many accounts.

    An account's events differ only in their identity: folding more of them makes its state no larger, so that few
    accounts with many events compare with many accounts with few.
    """
    account = np.resize(np.random.default_rng(seed).permutation(accounts), events)
    return Workload(
        name=name,
        accounts=accounts,
        partitions=1,
        account=account,
        feature=account % len(FEATURES),
        user=account % USERS_PER_ACCOUNT,
        quantity=np.ones(events, dtype=np.int64),
        time=newest - (account % HISTORY_DAYS) * MILLISECONDS_PER_DAY,
    )


def draw_accounts(distribution: Distribution, events: int, accounts: int, random: np.random.Generator) -> Numbers:
    """An account per event. Zipf is cut off at the number of accounts, by redrawing larger numbers."""
    if distribution == "uniform":
        return random.integers(0, accounts, events)
    ranks = random.zipf(ZIPF_EXPONENT, events)
    while len(beyond := np.flatnonzero(ranks > accounts)):
        ranks[beyond] = random.zipf(ZIPF_EXPONENT, len(beyond))
    chosen: Numbers = random.permutation(accounts)[ranks - 1]  # the busiest should not have neighbouring names
    return chosen


@asynccontextmanager
async def producing(bootstrap: str, **more: Any) -> AsyncIterator[AIOKafkaProducer]:
    """A producer that waits for all replicas; everything is sent at the end of the block."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", **more)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def paced(per_second: int, count: int) -> AsyncIterator[int]:
    """The numbers below `count` at a steady rate, some every 5 ms; one that is late follows at once."""
    started = time.perf_counter()
    for number in range(count):
        due = started + number / per_second // TICK_SECONDS * TICK_SECONDS
        if (early := due - time.perf_counter()) > 0:
            await asyncio.sleep(early)
        yield number


async def fill(bootstrap: str, topic: str, workload: Workload) -> None:
    """Produce all events of `workload`, in order within each partition, and wait until the broker has them."""
    now = int(time.time() * 1000)
    batches: dict[int, BatchBuilder] = {}
    receipts = []
    async with producing(bootstrap, enable_idempotence=True, max_batch_size=BATCH_BYTES) as producer:
        for partitions, keys, values in workload.chunks():
            for partition, key, value in zip(partitions, keys, values, strict=True):
                batch = batches.get(partition)
                if batch is not None and batch.append(timestamp=now, key=key, value=value) is not None:
                    continue
                if batch is not None:
                    receipts.append(await producer.send_batch(batch, topic, partition=partition))
                batch = batches[partition] = producer.create_batch()
                batch.append(timestamp=now, key=key, value=value)
        for partition, batch in batches.items():
            receipts.append(await producer.send_batch(batch, topic, partition=partition))
        for receipt in receipts:
            await receipt

"""Seeded usage events, as arrays, and each one as the CloudEvent that goes to Kafka."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from service.jobs.load.batch_producer import partition_of

Distribution = Literal["zipf", "uniform"]
Numbers = NDArray[np.int64]

FEATURES = (
    "login",
    "dashboard",
    "reports",
    "export",
    "search",
    "comments",
    "automations",
    "integrations",
    "alerts",
    "billing",
    "api",
    "admin",
)
USERS_PER_ACCOUNT = 20
HISTORY_DAYS = 60
ZIPF_EXPONENT = 1.2
MILLISECONDS_PER_DAY = 86_400_000
CHUNK = 20_000


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
        rows = zip(
            places.tolist(),
            self.account[places].tolist(),
            self.feature[places].tolist(),
            self.user[places].tolist(),
            self.quantity[places].tolist(),
            np.datetime_as_string(self.time[places].astype("datetime64[ms]")).tolist(),
            strict=True,
        )
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


def account_id(number: int) -> str:
    """The name of an account."""
    return f"account-{number:07d}"


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


def draw_accounts(distribution: Distribution, events: int, accounts: int, random: np.random.Generator) -> Numbers:
    """An account per event. Zipf is cut off at the number of accounts, by redrawing larger numbers."""
    if distribution == "uniform":
        return random.integers(0, accounts, events)
    ranks = random.zipf(ZIPF_EXPONENT, events)
    while len(beyond := np.flatnonzero(ranks > accounts)):
        ranks[beyond] = random.zipf(ZIPF_EXPONENT, len(beyond))
    chosen: Numbers = random.permutation(accounts)[ranks - 1]  # the busiest should not have neighbouring names
    return chosen

"""A process that replays some of the demo's customers: a job on standard input, their pasts on standard output."""

import gc
import sys

import msgspec
from msgspec import Struct

from service.jobs.backtest.policy_codec import decode_policy
from service.jobs.history.account_past import past_rows
from service.messaging.cloudevents import decode_structured, now_micros
from service.runtime.settings import Signal
from service.storage.accounts.history import HistoryRow


class CustomerLife(Struct, frozen=True):
    """A customer's events as records, and the day number on which its live history begins."""

    account_id: str
    live_from: int
    events: list[tuple[Signal, bytes]]


class ReplayJob(Struct, frozen=True):
    """Customers to replay by a policy, as `encode_policy` has it; days before `first_kept` are left out."""

    policy: bytes
    first_kept: int
    lives: list[CustomerLife]


Pasts = list[list[HistoryRow]]
"""The rows of each customer that has any."""


def replayed(job: ReplayJob) -> Pasts:
    """The pasts of the job's customers."""
    policy, now = decode_policy(job.policy), now_micros()
    pasts = []
    for life in job.lives:
        events = [decode_structured(signal, value, now).event for signal, value in life.events]
        pasts.append(past_rows(life.account_id, events, policy, life.live_from, job.first_kept))
    return [past for past in pasts if past]


if __name__ == "__main__":
    gc.disable()  # it ends soon, and finds little to collect
    given = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=ReplayJob)
    sys.stdout.buffer.write(msgspec.msgpack.encode(replayed(given)))

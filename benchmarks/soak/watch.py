"""Watching a running service from outside: memory and open files of each process, connections to Postgres, lag."""

import asyncio
import time
from collections import Counter

from msgspec import Struct
from psutil import Process  # type: ignore[import-untyped] # ships no types

from benchmarks.harness.processes import cpu_seconds, tree_cpu_seconds
from benchmarks.harness.servers import connected
from benchmarks.harness.terminal import say
from benchmarks.soak.traffic import SoakTraffic

SAMPLE_SECONDS = 2.0
SAMPLES_TO_SAY = 15
POSTGRES = "Postgres"

_OURS = "FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'account-health %'"
_CONNECTIONS = f"SELECT application_name AS name, count(*) {_OURS} GROUP BY 1"
_STUCK = f"SELECT count(*) {_OURS} AND state LIKE 'idle in transaction%' AND state_change < now() - interval '5 s'"
_FOLDED = "SELECT coalesce(sum(next_offset), 0)::bigint FROM progress"


class ProcessSample(Struct, frozen=True):
    """One sample."""

    at: float
    """Seconds since watching began."""
    rss_mb: dict[str, float]
    """By process."""
    cpu_seconds: dict[str, float]
    """So far, by process, and of all of Postgres."""
    files: dict[str, int]
    """Open files and sockets, by process."""
    connections: dict[str, int]
    """To Postgres, by application name."""
    stuck: int
    """Of these, those with a transaction open and idle for five seconds."""
    folded: int
    behind: int
    """Records sent and not yet folded."""


def processes(supervisor: int) -> dict[str, Process]:
    """The processes of `account-health up`, itself included, by their command."""
    counts: Counter[str] = Counter()
    found = {"up": Process(supervisor)}
    for child in sorted(found["up"].children(), key=lambda child: child.pid):
        command = child.cmdline()[-1]
        counts[command] += 1
        found[f"{command} {counts[command]}" if counts[command] > 1 else command] = child
    return found


async def watch(
    supervisor: int, postgres: int, database_url: str, traffic: SoakTraffic, samples: list[ProcessSample]
) -> None:
    """Add a sample every two seconds until cancelled, and say how it goes every half minute.

    `supervisor` and `postgres` are process numbers.

    Raises `psutil.NoSuchProcess` if a process ends meanwhile, which none should.
    """
    running = processes(supervisor)
    began = time.monotonic()
    async with connected(database_url) as connection:
        while True:
            folded = await connection.fetchval(_FOLDED)
            used = {name: cpu_seconds(process.pid) for name, process in running.items()}
            sample = ProcessSample(
                at=time.monotonic() - began,
                rss_mb={name: process.memory_info().rss / 1e6 for name, process in running.items()},
                cpu_seconds={**used, POSTGRES: tree_cpu_seconds(postgres)},
                files={name: process.num_fds() for name, process in running.items()},
                connections={row["name"]: row["count"] for row in await connection.fetch(_CONNECTIONS)},
                stuck=await connection.fetchval(_STUCK),
                folded=folded,
                behind=max(traffic.records - folded, 0),
            )
            samples.append(sample)
            if len(samples) % SAMPLES_TO_SAY == 0:
                memory = ", ".join(f"{name} {value:.0f}" for name, value in sample.rss_mb.items())
                say(f"  {sample.at:.0f} s: {sample.behind:,} behind; MB: {memory}")
            await asyncio.sleep(SAMPLE_SECONDS)

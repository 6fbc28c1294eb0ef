"""The cost of remembering folded events: memory, and time per event."""

import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np

from benchmarks.ingest.results import Remembering
from consumers.fold.dedup import Deduplicator, Hashes

REMEMBERED = 5_000_000
MORE = 500_000
PARTITIONS = 12
BATCH = 5_000
"""Events of a partition in a batch."""


def measure(seed: int) -> Remembering:
    """Run `remember` in a process of its own: memory that this one has freed would hide its growth."""
    child = [sys.executable, "-m", "benchmarks.ingest.dedup", str(seed)]
    found = subprocess.run(child, capture_output=True, check=True)
    return msgspec.json.decode(found.stdout, type=Remembering)


def remember(seed: int) -> Remembering:
    """Remember `REMEMBERED` events in the partitions of one process, then time `MORE`, none of them a duplicate."""
    random = np.random.default_rng(seed)
    before = _rss_mb()
    memories = [Deduplicator() for _ in range(PARTITIONS)]
    for number in range(REMEMBERED // BATCH):
        _remember(memories[number % PARTITIONS], _hashes(random), number)
    held = _rss_mb() - before
    batches = [_hashes(random) for _ in range(MORE // BATCH)]
    started = time.process_time()
    for number, hashes in enumerate(batches, start=REMEMBERED):
        _remember(memories[number % PARTITIONS], hashes, number)
    return Remembering(sum(map(len, memories)), held, (time.process_time() - started) / MORE * 1e6)


def _hashes(random: np.random.Generator) -> Hashes:
    return random.integers(0, 2**64, BATCH, dtype=np.uint64)


def _remember(seen: Deduplicator, hashes: Hashes, offset: int) -> None:
    """Remember as a batch does, up to the bytes for Postgres."""
    fresh = seen.fresh(hashes)
    change = seen.plan(hashes[fresh], offset, datetime.now(UTC))
    change.added.hashes.tobytes()
    seen.apply(change)


def _rss_mb() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


if __name__ == "__main__":
    print(msgspec.json.encode(remember(int(sys.argv[1]))).decode())

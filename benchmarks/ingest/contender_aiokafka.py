"""Bare aiokafka in a process of its own: the cost of polling and decoding when nothing else is done."""

import json
import os
import sys

from benchmarks.harness.machine import ROOT
from benchmarks.harness.processes import Contender
from benchmarks.ingest.contenders import FilledTopic, now
from benchmarks.ingest.results import ContenderRun

NAMES = {
    "decode": "aiokafka poll + decode",
    "msgspec": "aiokafka poll + plain msgspec",
    "poll": "aiokafka poll",
}
"""By mode. `decode` is the service's own strict decoder, the baseline of the targets."""
PATIENCE_SECONDS = 300


def run(topic: FilledTopic, mode: str) -> ContenderRun:
    """Read the whole topic once."""
    command = [sys.executable, "-m", "benchmarks.ingest.bare_consumer", topic.arena.bootstrap, topic.usage]
    command += [str(topic.workload.partitions), mode, str(len(topic.workload))]
    started = now()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    contender = Contender(f"bare-{mode}", command, environment, topic.arena.folder / "bare")
    try:
        contender.wait(PATIENCE_SECONDS)
    finally:
        contender.stop()
    told = json.loads(contender.output().splitlines()[-1])
    return ContenderRun(
        contender=NAMES[mode],
        distribution=topic.distribution,
        events=told["events"],
        events_per_second=told["events"] / told["seconds"],
        seconds=told["seconds"],
        whole_seconds=now() - started,
        cpu_micros=told["cpu_seconds"] / told["events"] * 1e6,
        peak_rss_mb=told["peak_rss_mb"],
    )

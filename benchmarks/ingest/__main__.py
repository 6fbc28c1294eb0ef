"""`make bench-ingest`: ingest of the service and of others, in one run on the same topics."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from benchmarks.harness.benchmark import run_benchmark
from benchmarks.harness.machine import ForeignLoad
from benchmarks.harness.processes import ContenderFailedError
from benchmarks.harness.servers import Arena, run_servers, url_of
from benchmarks.harness.terminal import say
from benchmarks.harness.workload import Distribution, draw, fill
from benchmarks.ingest import contender_aiokafka, latency, scale
from benchmarks.ingest.contenders import OUR_TWO, ContenderRun, FilledTopic, run_ours
from benchmarks.ingest.kafka_streams import contender as kafka_streams
from benchmarks.ingest.quix import contender as quix
from benchmarks.ingest.results import IngestOptions, IngestResults


def measure(results: IngestResults) -> None:
    """Measure everything that was requested; an interruption leaves out the rest."""
    with run_servers(results.ran) as arena:
        try:
            Comparison(results, arena).run()
        except KeyboardInterrupt:
            results.left_out.append("everything after that: interrupted")


class Comparison:
    """The measurements, which go into `results`; one that fails is reported and left out."""

    def __init__(self, results: IngestResults, arena: Arena) -> None:
        """The servers are running."""
        self._options = results.options
        self._results = results
        self._arena = arena

    def run(self) -> None:
        """Run the contenders on each topic."""
        with_quix = self._has("quix", quix.NAME, quix.install)
        with_kafka_streams = self._has("kafka-streams", kafka_streams.NAME, kafka_streams.install)
        for distribution in self._options.distributions:
            topic = self._fill(distribution)
            self._in_turn(topic)
            if with_quix:
                self._measure(partial(quix.run, topic, min(self._options.quix_events, self._options.events)))
            if with_kafka_streams:
                self._measure(partial(kafka_streams.run, topic))
        for accounts in self._options.scale_accounts if "scale" in self._options.only else ():
            with self._leaving_out(f"{accounts:,} accounts"):
                say(f"{accounts:,} accounts, and {self._options.scale_events:,} events of them …")
                self._results.scale.append(scale.measure(self._arena, accounts, self._options.scale_events))

    def _has(self, word: str, name: str, install: Callable[[], str]) -> bool:
        """True if a contender was requested and can be installed; notes its version."""
        if word in self._options.only:
            with self._leaving_out(name):
                self._results.ran.machine[name] = install()
        return name in self._results.ran.machine

    def _fill(self, distribution: Distribution) -> FilledTopic:
        options, arena = self._options, self._arena
        prefix = f"{arena.run}-{distribution}"
        say(f"{distribution}: filling a topic with {options.events:,} events of {options.accounts:,} accounts …")
        settings = arena.prepared(f"topics_{distribution}", topics=prefix, partitions=options.partitions)
        workload = draw(
            prefix,
            distribution,
            events=options.events,
            accounts=options.accounts,
            partitions=options.partitions,
            seed=options.seed,
            newest=int(time.time() * 1000),
        )
        asyncio.run(fill(arena.bootstrap, settings.topic_usage, workload))
        arena.drop_database(url_of(settings))
        return FilledTopic(arena, prefix, settings.topic_usage, distribution, workload)

    def _in_turn(self, topic: FilledTopic) -> None:
        """Bare aiokafka and the service, in turn; then the latency of the service, whose last database it takes."""
        options, arena = self._options, self._arena
        database = ""
        for number in range(options.repeat):
            if "bare" in options.only:
                self._measure(partial(contender_aiokafka.run, topic))
            if "ours" in options.only:
                name = f"ours_{topic.distribution}_{number}"
                settings = arena.prepared(name, topics=topic.prefix, partitions=options.partitions)
                self._measure(partial(run_ours, topic, settings))
                if database:
                    arena.drop_database(database)
                database = url_of(settings)
            if "two" in options.only and topic.distribution == "uniform":
                settings = arena.prepared(f"two_{number}", topics=topic.prefix, partitions=options.partitions)
                self._measure(partial(run_ours, topic, settings, OUR_TWO))
                arena.drop_database(url_of(settings))
        if database and options.latency_seconds and topic.distribution == options.distributions[-1]:
            with self._leaving_out("produce to commit"):
                self._results.latency = latency.measure(arena, database, options)
        if database:
            arena.drop_database(database)

    def _measure(self, run: Callable[[], ContenderRun]) -> None:
        with self._leaving_out("a run"):
            with ForeignLoad() as foreign:
                measured = run()
            measured.foreign = foreign.share
            self._results.runs.append(measured)
            say(f"  {measured.contender}, {measured.distribution}: {measured.events_per_second:,.0f} events/s")

    @contextmanager
    def _leaving_out(self, what: str) -> Iterator[None]:
        """Report a measurement that fails, and go on with the next."""
        try:
            yield
        except ContenderFailedError as error:
            say(f"LEFT OUT: {what}: {error}")
            reason, *_ = str(error).splitlines()  # logs that follow it name folders of this machine
            self._results.left_out.append(f"{what}: {reason.removesuffix('; its log ends:')}")


if __name__ == "__main__":
    run_benchmark("ingest", IngestOptions, IngestResults, measure)

"""`make bench`: ingest of the service and of others, in one run on the same topics."""

import asyncio
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial

import msgspec

from benchmarks.harness.machine import ROOT, describe, others
from benchmarks.harness.preload import fill
from benchmarks.harness.processes import ContenderFailedError
from benchmarks.harness.servers import POSTGRES_SETTINGS, Arena, run_servers
from benchmarks.harness.terminal import say
from benchmarks.harness.workload import Distribution, draw
from benchmarks.ingest import contender_aiokafka, contender_service, latency
from benchmarks.ingest.contenders import FilledTopic
from benchmarks.ingest.kafka_streams import build
from benchmarks.ingest.kafka_streams import contender as kafka_streams
from benchmarks.ingest.options import IngestOptions, parse
from benchmarks.ingest.quix import contender as quix
from benchmarks.ingest.report import RESULTS_MD, disagreements, markdown, report
from benchmarks.ingest.results import ContenderRun, IngestResults
from service.runtime.errors import HealthError

FOLDER = ROOT / "benchmarks" / "results"


class Bench:
    """One run: measurements go into `results`, and failures are reported and left out."""

    def __init__(self, options: IngestOptions, results: IngestResults, arena: Arena) -> None:
        """The servers are running."""
        self._options = options
        self._results = results
        self._arena = arena
        self._quix = "quix" in options.only
        self._kafka_streams = "kafka-streams" in options.only

    def run(self) -> None:
        """Measure everything that was requested."""
        self._describe()
        for distribution in self._options.distributions:
            self._compare(distribution)

    def _describe(self) -> None:
        machine = self._results.machine
        machine["PostgreSQL"] = self._arena.postgres_version()
        machine["Apache Kafka"] = self._arena.kafka_version
        if self._quix:
            with self._loudly("Quix Streams"):
                machine["Quix Streams"] = quix.version()
            self._quix = "Quix Streams" in machine
        if self._kafka_streams:
            with self._loudly("Kafka Streams"):
                build.class_path()
                machine["Kafka Streams"] = build.version()
            self._kafka_streams = "Kafka Streams" in machine

    def _compare(self, distribution: Distribution) -> None:
        options, arena = self._options, self._arena
        topic = self._fill(distribution)
        database = ""
        for number in range(options.repeat):
            if "bare" in options.only:
                for mode in contender_aiokafka.NAMES if number == 0 else ["decode"]:
                    self._measure(partial(contender_aiokafka.run, topic, mode))
            if "ours" in options.only:
                settings = contender_service.prepared(
                    arena, f"ours_{distribution}_{number}", topic.prefix, options.partitions
                )
                self._measure(partial(contender_service.run, topic, settings))
                if database:
                    arena.drop_database(database)
                database = settings.database_url.get_secret_value()
        if self._quix:
            self._measure(partial(quix.run, topic, min(options.quix_events, options.events)))
        if self._kafka_streams:
            self._measure(partial(kafka_streams.run, topic))
        if database:
            self._after(topic, database)

    def _after(self, topic: FilledTopic, database: str) -> None:
        """The measurements after the comparison; `database` knows the accounts."""
        if self._options.latency_seconds and topic.distribution == self._options.distributions[-1]:
            with self._loudly("produce to commit"):
                self._latency(database)
        self._arena.drop_database(database)

    def _latency(self, database: str) -> None:
        options = self._options
        say(f"{latency.PER_SECOND:,} live events a second for {options.latency_seconds} s …")
        shape = {"accounts": options.accounts, "partitions": options.partitions}
        found = latency.measure(self._arena, database, seconds=options.latency_seconds, **shape)
        say(f"  p50 {found.p50:.0f} ms, p99 {found.p99:.0f} ms")
        self._results.latency = found

    def _fill(self, distribution: Distribution) -> FilledTopic:
        options, arena = self._options, self._arena
        prefix = f"{arena.run}-{distribution}"
        say(f"{distribution}: filling a topic with {options.events:,} events of {options.accounts:,} accounts …")
        settings = contender_service.prepared(arena, f"topics_{distribution}", prefix, options.partitions)
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
        arena.drop_database(settings.database_url.get_secret_value())
        return FilledTopic(arena, prefix, distribution, workload)

    def _measure(self, run: Callable[[], ContenderRun]) -> None:
        with self._loudly("a run"):
            with others() as foreign:
                measured = run()
            measured.foreign = foreign.share
            self._results.runs.append(measured)
            say(f"  {measured.contender}, {measured.distribution}: {measured.events_per_second:,.0f} events/s")

    @contextmanager
    def _loudly(self, what: str) -> Iterator[None]:
        try:
            yield
        except ContenderFailedError as error:
            say(f"LEFT OUT: {what}: {error}")
            reason, *_ = str(error).splitlines()  # logs that follow it name folders of this machine
            self._results.left_out.append(f"{what}: {reason.removesuffix('; its log ends:')}")


def main() -> None:
    """Run, print the tables, keep the raw results as JSON. The status is 1 if scores differ."""
    options = parse()
    results = IngestResults(
        started_at=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        command=" ".join(["python -m benchmarks.ingest", *sys.argv[1:]]),
        accounts=options.accounts,
        events=options.events,
        machine=describe(),
        postgres_settings=POSTGRES_SETTINGS,
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that servers are stopped and folders removed
    say("Starting PostgreSQL and Apache Kafka …")
    try:
        with run_servers() as arena:
            Bench(options, results, arena).run()
    except HealthError as error:
        raise SystemExit(f"error: {error}") from None
    except KeyboardInterrupt:
        results.left_out.append("all that was still to come: interrupted")
    finally:
        _keep(results)
    print("\n" + report(results))
    if options.write:
        RESULTS_MD.write_text(markdown(results))
    if disagreements(results.runs):
        raise SystemExit(1)


def _keep(results: IngestResults) -> None:
    """Write the raw results so far; `python -m benchmarks.ingest.report FILE` shows them again."""
    if not results.runs:
        return
    FOLDER.mkdir(exist_ok=True)
    kept = FOLDER / f"ingest-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    kept.write_bytes(msgspec.json.encode(results))
    say(f"Raw results: benchmarks/results/{kept.name}")


if __name__ == "__main__":
    main()

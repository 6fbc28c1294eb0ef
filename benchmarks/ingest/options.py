"""The command line of `python -m benchmarks.ingest`."""

from argparse import ArgumentDefaultsHelpFormatter, ArgumentParser, ArgumentTypeError
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.harness.workload import Distribution

CONTENDERS = ("ours", "bare", "quix", "kafka-streams")
DISTRIBUTIONS: tuple[Distribution, ...] = ("zipf", "uniform")


@dataclass(frozen=True)
class IngestOptions:
    """The measurements to make, and their sizes."""

    events: int
    accounts: int
    partitions: int
    seed: int
    repeat: int
    quix_events: int
    only: tuple[str, ...]
    distributions: tuple[Distribution, ...]
    latency_seconds: int
    write: bool


def parse(arguments: Sequence[str] | None = None) -> IngestOptions:
    """Read the command line; `--help` explains and exits."""
    parser = ArgumentParser(
        "python -m benchmarks.ingest",
        description="Ingest on Apache Kafka and PostgreSQL: the service beside bare aiokafka, Quix Streams and Kafka "
        "Streams, on the same topics. Starts its own servers.",
        formatter_class=ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--events", type=count, metavar="N", default=1_000_000, help="events on each topic")
    add("--accounts", type=count, metavar="N", default=100_000, help="accounts that they are of")
    add("--partitions", type=count, metavar="N", default=12, help="partitions of a topic")
    add("--seed", type=int, metavar="N", default=1, help="of all that is drawn")
    add(
        "--repeat",
        type=count,
        metavar="N",
        default=3,
        help="runs of the service and of bare aiokafka, of which the median counts",
    )
    add(
        "--quix-events",
        type=count,
        metavar="N",
        default=200_000,
        help="at most so many for Quix Streams, which is slow",
    )
    add("--only", type=_words(CONTENDERS), default=",".join(CONTENDERS), metavar="A,B", help="these contenders")
    add(
        "--distributions",
        type=_words(DISTRIBUTIONS),
        default=",".join(DISTRIBUTIONS),
        metavar="A,B",
        help="of events over accounts",
    )
    add(
        "--latency-seconds",
        type=int,
        metavar="N",
        default=30,
        help="of live events, to measure produce to commit; 0 skips it",
    )
    add("--write", action="store_true", help="write benchmarks/RESULTS.md")
    return IngestOptions(**vars(parser.parse_args(arguments)))


def count(text: str) -> int:
    """A number of at least 1; raises argparse's error otherwise."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise ArgumentTypeError(f"{text!r} is not a number of at least 1, such as 100_000")
    return number


class _words:  # noqa: N801 - reads as a function where it is used
    """A comma-separated choice of some words."""

    def __init__(self, known: tuple[str, ...]) -> None:
        self._known = known

    def __call__(self, text: str) -> tuple[str, ...]:
        chosen = tuple(text.split(","))
        if unknown := set(chosen) - set(self._known):
            raise ArgumentTypeError(f"{', '.join(sorted(unknown))}: take some of {', '.join(self._known)}")
        return chosen

"""`make bench-beside`: ingest of this version and of an earlier one, both at the same time, or in turn.

A shared machine changes its speed within minutes, by more than versions differ. Run at the same time, both are affected
equally. They share its processors, too, so Postgres's cost counts for the rate, which it hardly does where one runs
alone.
"""

import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Annotated, Self

import msgspec
from msgspec import Struct, field

from benchmarks.harness.benchmark import run_benchmark
from benchmarks.harness.processes import ROOT, ContenderFailedError, helping
from benchmarks.harness.results import Column, Results, ThresholdVerdict, section, table, table_of
from benchmarks.harness.statistics import medians
from benchmarks.harness.terminal import option, say
from benchmarks.ingest.contenders import ContenderRun
from benchmarks.ingest.results import DISTRIBUTIONS

LEAST_OF_EARLIER = 0.9


@dataclass(frozen=True)
class VersionsOptions:
    """Ingest of this version beside an earlier one. Each starts its own servers."""

    earlier: str = option(MISSING, "earlier version; it must run with what is installed for this one", str, "COMMIT")
    events: int = option(500_000, "events on each topic")
    repeat: int = option(5, "runs in a row, of which the first and, unless in turn, the last don't count")
    rounds: int = option(1, "rows of runs for each distribution")
    in_turn: bool = option(False, "run one version after the other instead of both at the same time")

    def __post_init__(self) -> None:
        if self.repeat < 3:
            raise ValueError("--repeat: take at least 3, as the first run doesn't count, nor may the last")


class Pair(Struct):
    """A run of each version: their rates, and this version's values as shares of the earlier version's."""

    topic: Annotated[str, Column("topic")]
    this: Annotated[float, Column("events/s", ",.0f")]
    earlier: Annotated[float, Column("earlier", ",.0f")]
    rate: Annotated[float, Column("share", ".2f")]
    cpu: Annotated[float, Column("CPU", ".2f")]
    postgres_cpu: Annotated[float, Column("Postgres", ".2f")]

    @classmethod
    def of(cls, topic: str, earlier: ContenderRun, this: ContenderRun) -> Self:
        """The pair of two runs."""
        rates = (this.events_per_second, earlier.events_per_second)
        cpu = this.cpu_micros / earlier.cpu_micros
        return cls(topic, *rates, rates[0] / rates[1], cpu, this.postgres_cpu_micros / earlier.postgres_cpu_micros)


class VersionsResults(Results[VersionsOptions]):
    """All pairs of runs."""

    pairs: list[Pair] = field(default_factory=list)

    @property
    def name(self) -> str:
        return "beside-in-turn" if self.options.in_turn else "beside"

    def middles(self, share: str) -> dict[str, float]:
        """The medians of a share, by topic."""
        return medians((pair.topic, getattr(pair, share)) for pair in self.pairs)

    def sections(self) -> list[str]:
        shares = [self.middles(share) for share in ("rate", "cpu", "postgres_cpu")]
        rows = [[topic, *(f"{share[topic]:.2f}" for share in shares)] for topic in shares[0]]
        middles = table([["medians of shares", "events/s", "CPU", "Postgres"], *rows])
        title = f"{self.options.events:,} events, one process of each version"
        return [section(title, table_of(self.pairs), middles)]

    def verdicts(self) -> list[ThresholdVerdict]:
        what = "{}: events/s as a share of the earlier version's"
        return [
            ThresholdVerdict(what.format(topic), rate, least=LEAST_OF_EARLIER, decimals=3)
            for topic, rate in self.middles("rate").items()
        ]


class _Stored(Struct):
    """The raw results of a version, as far as they are read here."""

    runs: list[ContenderRun]


def measure(results: VersionsResults) -> None:
    """Rows of runs of both versions, on each distribution."""
    options = results.options
    with _checked_out(options.earlier) as earlier:
        for distribution in DISTRIBUTIONS:
            for number in range(options.rounds):
                trees = [earlier, ROOT] if number % 2 == 0 else [ROOT, earlier]
                rows = _rows(trees, distribution, options)
                pairs = [Pair.of(distribution, *both) for both in zip(rows[earlier], rows[ROOT], strict=True)]
                results.pairs += pairs
                say(f"{distribution}: {', '.join(f'{pair.rate:.2f}' for pair in pairs)}")


@contextmanager
def _checked_out(commit: str) -> Iterator[Path]:
    """A working tree of the commit, until the end of the block."""
    with tempfile.TemporaryDirectory(prefix="account-health-bench-") as folder:
        tree = Path(folder) / "earlier"
        _git("worktree", "add", "--detach", str(tree), commit)
        try:
            yield tree
        finally:
            _git("worktree", "remove", "--force", str(tree))


def _git(*words: str) -> None:
    done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ContenderFailedError(f"git {' '.join(words)}: {done.stderr.strip()}")


def _rows(trees: Sequence[Path], distribution: str, options: VersionsOptions) -> dict[Path, list[ContenderRun]]:
    """Rows of runs of both versions, without those that don't count.

    The first run of each finds caches cold. Where both start at the same time, the last one of the slower version has
    the machine to itself in the end.
    """
    if options.in_turn:
        rows = {}
        for tree in trees:
            with _ingest(tree, distribution, options) as runs:
                rows[tree] = runs()[1:]
        return rows
    with ExitStack() as stack:
        started = {tree: stack.enter_context(_ingest(tree, distribution, options)) for tree in trees}
        return {tree: runs()[1:-1] for tree, runs in started.items()}


@contextmanager
def _ingest(tree: Path, distribution: str, options: VersionsOptions) -> Iterator[Callable[[], list[ContenderRun]]]:
    """The benchmark of a version, until the end of the block, and the way to wait for its runs."""
    words = ["--only", "ours", "--latency-seconds", "0", "--distributions", distribution]
    if any((tree / "benchmarks").rglob("scale.py")):  # earlier versions also compare few accounts with many
        words.append("--skip-scale")
    words += ["--events", str(options.events), "--repeat", str(options.repeat)]
    results = tree / "benchmarks" / "results"
    before = set(results.glob("ingest-*.json"))
    with helping("ingest", *words, root=tree) as ingest:

        def runs() -> list[ContenderRun]:
            ingest.wait()
            added = set(results.glob("ingest-*.json")) - before
            found = [run for each in added for run in msgspec.json.decode(each.read_bytes(), type=_Stored).runs]
            if [run.distribution for run in found] != [distribution] * options.repeat:
                raise ContenderFailedError(ingest.explain(f"in {tree} failed, or ran at the same time elsewhere"))
            return found

        yield runs


if __name__ == "__main__":
    run_benchmark("versions", VersionsOptions, VersionsResults, measure)

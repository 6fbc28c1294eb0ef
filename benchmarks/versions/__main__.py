"""`make bench-beside`: ingest of this version and of an earlier one, both at the same time, or in turn.

A shared machine changes its speed within minutes, by more than versions differ. Run at the same time, both are affected
equally. They share its processors, too, so Postgres's cost counts for the rate, which it hardly does where one runs
alone.
"""

import os
import subprocess
import sys
import tempfile
from argparse import ArgumentDefaultsHelpFormatter, ArgumentParser
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import msgspec
from msgspec import Struct

from benchmarks.harness.machine import ROOT, describe
from benchmarks.harness.processes import ContenderFailedError
from benchmarks.harness.result_files import circumstances, failing_in_words, write_results
from benchmarks.harness.servers import POSTGRES_SETTINGS
from benchmarks.harness.terminal import say
from benchmarks.ingest.options import DISTRIBUTIONS, count
from benchmarks.ingest.results import ContenderRun
from benchmarks.versions.report import Pair, VersionsResults, markdown, report


class VersionsOptions(Struct, frozen=True):
    """The measurements to make, and their sizes."""

    earlier: str
    events: int
    repeat: int
    rounds: int
    in_turn: bool
    write: bool


class _Kept(Struct):
    """The raw results of a version, as far as they are read here."""

    runs: list[ContenderRun]


def parse(arguments: Sequence[str] | None = None) -> VersionsOptions:
    """Read the command line; `--help` explains and exits."""
    parser = ArgumentParser(
        "python -m benchmarks.versions",
        description="Ingest of this version beside an earlier one. Each starts its own servers.",
        formatter_class=ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("earlier", metavar="COMMIT", help="the earlier version; it must run with what is installed for this one")
    add("--events", type=count, metavar="N", default=500_000, help="events on each topic")
    add(
        "--repeat",
        type=count,
        metavar="N",
        default=5,
        help="runs in a row, of which the first and, unless in turn, the last don't count",
    )
    add("--rounds", type=count, metavar="N", default=1, help="such rows of each distribution")
    add("--in-turn", action="store_true", help="one version after the other instead of both at the same time")
    add("--write", action="store_true", help="write benchmarks/RESULTS-beside.md, or RESULTS-beside-in-turn.md")
    options = VersionsOptions(**vars(parser.parse_args(arguments)))
    if options.repeat < 3:
        parser.error("--repeat: take at least 3, as the first run doesn't count, nor may the last")
    return options


def main() -> None:
    """Measure, print the tables, keep the raw results as JSON."""
    options = parse()
    results = VersionsResults(circumstances("beside", describe(), POSTGRES_SETTINGS), options.events)
    with failing_in_words(), _checked_out(options.earlier) as earlier:
        for distribution in DISTRIBUTIONS:
            for number in range(options.rounds):
                trees = [earlier, ROOT] if number % 2 == 0 else [ROOT, earlier]
                run = _in_turn if options.in_turn else _together
                rows = run(trees, distribution, options)
                results.pairs += [Pair(distribution, *both) for both in zip(rows[earlier], rows[ROOT], strict=True)]
                say(f"{distribution}: {', '.join(f'{pair.rate:.2f}' for pair in results.of(distribution))}")
    name = "beside-in-turn" if options.in_turn else "beside"
    write_results(name, results, report(results), partial(markdown, results), options.write)


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


def _together(trees: Sequence[Path], distribution: str, options: VersionsOptions) -> dict[Path, list[ContenderRun]]:
    """Rows of runs of both versions, started at the same time.

    The first run of each finds caches cold. The last one of the slower version has the machine to itself in the end.
    """
    with ExitStack() as stack:
        started = {tree: stack.enter_context(_ingest(tree, distribution, options)) for tree in trees}
        return {tree: runs()[1:-1] for tree, runs in started.items()}


def _in_turn(trees: Sequence[Path], distribution: str, options: VersionsOptions) -> dict[Path, list[ContenderRun]]:
    """One after the other: the first run of each doesn't count."""
    rows = {}
    for tree in trees:
        with _ingest(tree, distribution, options) as runs:
            rows[tree] = runs()[1:]
    return rows


@contextmanager
def _ingest(tree: Path, distribution: str, options: VersionsOptions) -> Iterator[Callable[[], list[ContenderRun]]]:
    """Run the benchmark of a version; returns its runs."""
    words = ["--only", "ours", "--latency-seconds", "0", "--distributions", distribution]
    if any((tree / "benchmarks").rglob("scale.py")):  # earlier versions also compare few accounts with many
        words.append("--skip-scale")
    words += ["--events", str(options.events), "--repeat", str(options.repeat)]
    results = tree / "benchmarks" / "results"
    before = set(results.glob("ingest-*.json"))
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.ingest", *words],
            cwd=tree,
            env={**os.environ, "PYTHONPATH": str(tree)},
            stdout=log,
            stderr=subprocess.STDOUT,
        )

        def runs() -> list[ContenderRun]:
            failed = process.wait()
            added = set(results.glob("ingest-*.json")) - before
            found = [run for each in added for run in msgspec.json.decode(each.read_bytes(), type=_Kept).runs]
            if failed or [run.distribution for run in found] != [distribution] * options.repeat:
                log.seek(0)
                said = log.read()[-2000:].decode(errors="replace")
                raise ContenderFailedError(f"ingest in {tree} failed, or ran at the same time elsewhere:\n{said}")
            return found

        try:
            yield runs
        finally:
            process.terminate()  # it stops its servers
            process.wait()


if __name__ == "__main__":
    main()

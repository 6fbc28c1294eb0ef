"""`make bench-beside`: ingest of this version and of an earlier one, both at the same time.

A shared machine changes its speed within minutes, by more than versions differ. At the same time they share its moods.
They share its processors, too, so what Postgres takes counts for the rate, which it hardly does where one runs alone.
"""

import os
import subprocess
import sys
import tempfile
from argparse import ArgumentDefaultsHelpFormatter, ArgumentParser
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import msgspec
from msgspec import Struct

from benchmarks.beside_report import Pair, Results, markdown, report
from benchmarks.keeping import circumstances, failing_in_words, keep
from benchmarks.machine import ROOT, describe
from benchmarks.options import DISTRIBUTIONS
from benchmarks.processes import ContenderFailedError
from benchmarks.results import Run
from benchmarks.servers import POSTGRES_SETTINGS
from benchmarks.terminal import say


class Options(Struct, frozen=True):
    """What to measure, and how much of it."""

    earlier: str
    events: int
    repeat: int
    rounds: int
    write: bool


class _Kept(Struct):
    """What is read of the raw results that a version keeps."""

    runs: list[Run]


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Read the command line; `--help` explains and exits."""
    parser = ArgumentParser(
        "python -m benchmarks.beside",
        description="Ingest of this version beside an earlier one, at the same time. Each starts its own servers.",
        formatter_class=ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("earlier", metavar="COMMIT", help="the earlier version; it must run with what is installed for this one")
    add("--events", type=int, metavar="N", default=500_000, help="events on each topic")
    add("--repeat", type=int, metavar="N", default=5, help="runs in a row, of which the first and the last don't count")
    add("--rounds", type=int, metavar="N", default=1, help="such rows of each distribution")
    add("--write", action="store_true", help="write benchmarks/RESULTS-beside.md")
    options = Options(**vars(parser.parse_args(arguments)))
    if options.repeat < 3:
        parser.error("--repeat: take at least 3, as the first and the last run don't count")
    return options


def main() -> None:
    """Measure, print the tables, keep the raw results as JSON."""
    options = parse()
    results = Results(circumstances("beside", describe(), POSTGRES_SETTINGS), options.events)
    with failing_in_words(), _checked_out(options.earlier) as earlier:
        for distribution in DISTRIBUTIONS:
            for _ in range(options.rounds):
                results.pairs += _together(earlier, distribution, options)
                say(f"{distribution}: {', '.join(f'{pair.rate:.2f}' for pair in results.of(distribution))}")
    keep("beside", results, report(results), partial(markdown, results), options.write)


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


def _together(earlier: Path, distribution: str, options: Options) -> list[Pair]:
    """Rows of runs of both versions, started at the same time.

    The first run of each finds caches cold. The last one of whoever is slower has the machine for itself in the end.
    """
    with ExitStack() as running, tempfile.TemporaryDirectory(prefix="account-health-bench-") as folder:
        rows = [
            running.enter_context(_ingest(tree, distribution, options, Path(folder) / name))
            for name, tree in (("earlier.log", earlier), ("this.log", ROOT))
        ]
        of_earlier, of_this = (_runs(process, tree, log)[1:-1] for process, tree, log in rows)
    return [Pair(distribution, *both) for both in zip(of_earlier, of_this, strict=True)]


@contextmanager
def _ingest(
    tree: Path, distribution: str, options: Options, log: Path
) -> Iterator[tuple[subprocess.Popen[bytes], Path, Path]]:
    words = ["--only", "ours", "--skip-scale", "--latency-seconds", "0", "--distributions", distribution]
    words += ["--events", str(options.events), "--repeat", str(options.repeat)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.ingest", *words],
            cwd=tree,
            env={**os.environ, "PYTHONPATH": str(tree)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process, tree, log
    finally:
        process.terminate()  # it stops its servers
        process.wait()


def _runs(process: subprocess.Popen[bytes], tree: Path, log: Path) -> list[Run]:
    if process.wait():
        raise ContenderFailedError(f"ingest of {tree.name} failed:\n{log.read_text()[-2000:]}")
    newest = max((tree / "benchmarks" / "results").glob("ingest-*.json"))
    return msgspec.json.decode(newest.read_bytes(), type=_Kept).runs


if __name__ == "__main__":
    main()

"""Runs of benchmarks from beginning to end: the circumstances, raw results and tables, and their files."""

import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import msgspec
from msgspec import Struct, field

from benchmarks.harness.machine import ROOT
from benchmarks.harness.processes import ContenderFailedError
from benchmarks.harness.terminal import say
from benchmarks.ingest.report import QUIET, WORDS, table
from benchmarks.ingest.thresholds import ThresholdVerdict
from service.runtime.errors import HealthError

FOLDER = ROOT / "benchmarks" / "results"


class Circumstances(Struct):
    """The time, command and machine of a benchmark's run."""

    started_at: str
    command: str
    machine: dict[str, str] = field(default_factory=dict)
    postgres_settings: dict[str, str] = field(default_factory=dict)


def circumstances(name: str, machine: dict[str, str], postgres_settings: Mapping[str, str]) -> Circumstances:
    """The circumstances of this process, which runs `python -m benchmarks.NAME`."""
    return Circumstances(
        started_at=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        command=" ".join([f"python -m benchmarks.{name}", *sys.argv[1:]]),
        machine=machine,
        postgres_settings=dict(postgres_settings),
    )


@contextmanager
def failing_in_words() -> Iterator[None]:
    """End with a message, and with servers stopped and folders removed, at SIGTERM too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        yield
    except (ContenderFailedError, HealthError) as error:
        raise SystemExit(f"error: {error}") from None


def write_results(name: str, results: Struct, report: str, whole: Callable[[], str], write: bool) -> None:
    """Write the raw results as JSON, print the tables, and with `write` RESULTS-NAME.md."""
    FOLDER.mkdir(exist_ok=True)
    kept = FOLDER / f"{name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    kept.write_bytes(msgspec.json.encode(results))
    say(f"Raw results: benchmarks/results/{kept.name}")
    print("\n" + report)
    if write:
        (FOLDER.parent / f"RESULTS-{name}.md").write_text(whole())


def document(title: str, ran: Circumstances, report: str) -> str:
    """The contents of a file of results."""
    settings = ", ".join(f"{name}={value}" for name, value in ran.postgres_settings.items())
    parts = [
        f"# Results: {title}",
        f"`{ran.command}`, {ran.started_at}. What is measured, and how to read it, is in README.md.",
        "\n".join(f"- {name}: {value}" for name, value in ran.machine.items()),
        f"PostgreSQL: {settings}; fsync and synchronous_commit on.",
        report,
    ]
    return "\n\n".join(parts) + "\n"


def warning(foreign: Sequence[float]) -> list[str]:
    """A note that other processes took processors meanwhile, given their shares; empty on a quiet machine."""
    worst = max(foreign, default=0.0)
    if worst <= QUIET:
        return []
    return [f"NOT A QUIET MACHINE: others took up to {worst:.0%} of the processors, so times are too long."]


def targets(verdicts: Sequence[ThresholdVerdict], decimals: int = 0) -> str:
    """The table of targets, under its heading."""
    rows = [["target", "wanted", "found", ""]]
    for verdict in verdicts:
        bound = f"≥ {verdict.least:g}" if verdict.least is not None else f"≤ {verdict.most:g} {verdict.unit}"
        value = "" if verdict.value is None else f"{verdict.value:,.{decimals}f} {verdict.unit}".strip()
        rows.append([verdict.what, bound, value, WORDS[verdict.met]])
    return f"## Targets\n\n{table(rows)}"

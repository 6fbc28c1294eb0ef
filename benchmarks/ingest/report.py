"""Results for people: tables on the terminal, and benchmarks/RESULTS.md."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from benchmarks.harness.machine import ROOT
from benchmarks.harness.statistics import middle
from benchmarks.ingest.expected_scores import TOLERANCE
from benchmarks.ingest.results import ContenderRun, IngestResults
from benchmarks.ingest.thresholds import ThresholdVerdict, verdicts

RESULTS_MD = ROOT / "benchmarks" / "RESULTS.md"
QUIET = 0.05
"""The share of the processors that others may take before a warning says so."""
WORDS = {True: "met", False: "MISSED", None: "not measured"}

Rows = list[list[str]]


def report(results: IngestResults) -> str:
    """All tables, as Markdown that reads well on a terminal."""
    parts = []
    if results.runs:
        parts.append(_section(f"{results.accounts:,} accounts, one process", _runs(results.runs)))
    if latency := results.latency:
        rows = [
            ["events", "events/s", "p50 ms", "p99 ms", "worst ms", "others"],
            [f"{latency.events:,}", *(f"{each:,.0f}" for each in (latency.events_per_second, latency.p50))],
        ]
        rows[1] += [f"{latency.p99:,.0f}", f"{latency.worst:,.0f}", f"{latency.foreign:.0%}"]
        parts.append(_section("Produce to commit", rows))
    parts.append(_section("Targets", _targets(verdicts(results))))
    if share := _foreign(results):
        parts.append(
            f"NOT A QUIET MACHINE: others took up to {share:.0%} of the processors, so rates and latencies are too low"
            " and too high; µs CPU hold."
        )
    if faults := disagreements(results.runs):
        parts.append("SCORES DIFFER: " + "; ".join(faults))
    parts += [f"LEFT OUT: {line}" for line in results.left_out]
    return "\n\n".join(parts)


def markdown(results: IngestResults) -> str:
    """The contents of RESULTS.md."""
    raw = msgspec.structs.replace(results, runs=[msgspec.structs.replace(run, samples=[]) for run in results.runs])
    settings = ", ".join(f"{name}={value}" for name, value in results.postgres_settings.items())
    parts = [
        "# Results",
        f"`{results.command}`, {results.started_at}. What is measured, and how to read it, is in README.md.",
        "\n".join(f"- {name}: {value}" for name, value in results.machine.items()),
        f"PostgreSQL, for all contenders: {settings}; fsync and synchronous_commit on.",
        report(results),
        f"## Raw\n\n```json\n{msgspec.json.format(msgspec.json.encode(raw), indent=1).decode()}\n```",
    ]
    return "\n\n".join(parts) + "\n"


def disagreements(runs: Iterable[ContenderRun]) -> list[str]:
    """Runs with unexpected scores."""
    return [
        f"{run.contender}, {run.distribution}: by up to {run.worst_difference:.3g} points"
        for run in runs
        if run.worst_difference is not None and run.worst_difference > TOLERANCE
    ]


def _foreign(results: IngestResults) -> float:
    shares = [run.foreign for run in results.runs]
    shares += [results.latency.foreign] if results.latency else []
    worst = max(shares, default=0.0)
    return worst if worst > QUIET else 0.0


def table(rows: Rows) -> str:
    """A Markdown table with aligned columns; the first row is the head, the first column is text."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        _line([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    ]
    rule = _line(["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])])
    return "\n".join([lines[0], rule, *lines[1:]])


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _section(title: str, rows: Rows) -> str:
    return f"## {title}\n\n{table(rows)}"


def _runs(runs: Sequence[ContenderRun]) -> Rows:
    rows = [["contender", "topic", "runs", "events", "events/s", "least", "most", "2nd half", "µs CPU", "µs Postgres"]]
    rows[0] += ["peak MB", "others", "scores"]
    seen: dict[tuple[str, str], list[ContenderRun]] = {}
    for run in runs:
        seen.setdefault((run.distribution, run.contender), []).append(run)
    for (distribution, contender), theirs in seen.items():
        rates = [run.events_per_second for run in theirs]
        halves = [run.second_half for run in theirs if run.second_half]
        peaks = [run.peak_rss_mb for run in theirs if run.peak_rss_mb]
        rows.append(
            [
                contender,
                distribution,
                str(len(theirs)),
                f"{theirs[-1].events:,}",
                *(f"{each:,.0f}" for each in (middle(rates), min(rates), max(rates))),
                f"{middle(halves):,.0f}" if halves else "",
                *(_cost([run.cpu_micros for run in theirs]), _cost([run.postgres_cpu_micros for run in theirs])),
                f"{max(peaks):,.0f}" if peaks else "",
                f"{max(run.foreign for run in theirs):.0%}",
                _agreement(theirs),
            ]
        )
    return rows


def _cost(micros: Sequence[float]) -> str:
    """Empty if it wasn't measured."""
    return f"{middle(micros):.1f}" if any(micros) else ""


def _agreement(runs: Sequence[ContenderRun]) -> str:
    checked = [run for run in runs if run.worst_difference is not None]
    if not checked:
        return ""
    return "DIFFER" if disagreements(checked) else f"{checked[-1].checked} agree"


def _targets(found: Sequence[ThresholdVerdict]) -> Rows:
    rows = [["target", "wanted", "found", ""]]
    for verdict in found:
        bound = f"≥ {verdict.least:g}" if verdict.least is not None else f"≤ {verdict.most:g}"
        value = "" if verdict.value is None else f"{verdict.value:.{0 if verdict.unit else 2}f} {verdict.unit}".strip()
        rows.append([verdict.what, f"{bound} {verdict.unit}".strip(), value, WORDS[verdict.met]])
    return rows


def main() -> None:
    """Print the report of a stored JSON file; with `--write`, make RESULTS.md of it."""
    words = [word for word in sys.argv[1:] if word != "--write"]
    results = msgspec.json.decode(Path(words[0]).read_bytes(), type=IngestResults)
    print(report(results))
    if "--write" in sys.argv:
        RESULTS_MD.write_text(markdown(results))


if __name__ == "__main__":
    main()

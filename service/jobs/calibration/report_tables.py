"""A calibration on a terminal: sentences and tables."""

from collections.abc import Iterator

from rich.console import Console

from service.jobs.backtest.terminal_table import terminal_table
from service.jobs.calibration.calibration import CalibrationReport
from service.jobs.calibration.report_text import (
    TextTable,
    by_score,
    draft,
    findings,
    groups,
    material,
    proofs,
    ranking,
    strata,
)


def show(console: Console, found: CalibrationReport) -> None:
    """Print a calibration; the advice is at the end, where it is seen."""
    for line in material(found):
        console.print(line)
    for each in _tables(found):
        console.print()
        console.print(terminal_table(*each))
    console.print()
    for line in findings(found):
        console.print(line)


def _tables(found: CalibrationReport) -> Iterator[TextTable]:
    for name, proof in proofs(found):
        yield ranking(name, proof)
    if found.strata:
        yield strata(found)
    if found.scorecard is not None:
        yield draft(found.scorecard)
    if found.probabilities is not None:
        yield by_score(found.probabilities)
        yield groups(found.probabilities)

"""A calibration on a terminal: sentences and tables."""

from rich.console import Console

from service.jobs.backtest.terminal_table import terminal_table
from service.jobs.calibration.calibration import CalibrationReport
from service.jobs.calibration.report_text import findings, material, tables


def show(console: Console, found: CalibrationReport) -> None:
    """Print a calibration; the advice is at the end, where it is seen."""
    for line in material(found):
        console.print(line)
    for each in tables(found):
        console.print()
        console.print(terminal_table(*each))
    console.print()
    for line in findings(found):
        console.print(line)

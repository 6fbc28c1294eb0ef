"""The report of an adapted scorecard on a terminal: what saturates, remarks, and the accounts by band."""

from collections.abc import Iterator

from rich.table import Table

from scoring.whatif.adapt_report import AdaptReport

WIDE = 160


def tables(report: AdaptReport) -> Iterator[Table]:
    """The tables, in the order in which they are read; without that of remarks if there is none."""
    yield _saturation(report)
    if any(each.remark for each in report.measures):
        yield _remarks(report)
    yield _bands(report)


def _saturation(report: AdaptReport) -> Table:
    columns = ("weight", "full points, now", "then", "no points, now", "then", "no value")
    table = _table("Share of the accounts, by the scorecard now and by the draft then", "measure", *columns)
    for each in report.measures:
        shares = (each.before.full, each.after.full, each.before.none, each.after.none, each.after.missing)
        table.add_row(each.measure, f"{each.weight:g}", *(f"{share:.0%}" for share in shares))
    return table


def _remarks(report: AdaptReport) -> Table:
    table = Table(title="Remarks", title_justify="left", box=None)
    table.add_column("measure")
    table.add_column("remark", overflow="fold")
    for each in report.measures:
        if each.remark:
            table.add_row(each.measure, each.remark)
    return table


def _bands(report: AdaptReport) -> Table:
    table = _table("Accounts by band", "", *report.bands_before)
    for name, bands in (("now", report.bands_before), ("then", report.bands_after)):
        table.add_row(name, *(f"{count:,}" for count in bands.values()))
    return table


def _table(title: str, first: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=None)
    table.add_column(first)
    for column in columns:
        table.add_column(column, justify="right")
    return table

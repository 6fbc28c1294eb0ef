"""A back-test on a terminal: sentences and tables."""

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from scoring.backtest.report import ScoreReport
from scoring.backtest.rule_report import RuleReport
from service.jobs.backtest.backtest import Backtest
from service.jobs.backtest.report_text import (
    NOTHING,
    OWNERS,
    SHARES,
    interval,
    month_rows,
    owner_rows,
    rule_cells,
    share_cells,
    summary,
)


def show(console: Console, found: Backtest) -> None:
    """Print a back-test."""
    for line in summary(found):
        console.print(line)
    for table in tables(found):
        console.print()
        console.print(table)
    console.print()
    for report in found.scores:
        console.print(report.verdict)


def tables(found: Backtest) -> Iterator[Table]:
    """The tables in the order in which they are read."""
    yield _ranking(found)
    yield _months(found)
    for report in found.scores:
        if report.bands:
            yield _bands(report)
        yield _tenths(report)
    if found.rules:
        yield _rules(found.rules)
        if rows := list(owner_rows(found.rules)):
            yield _owners(rows)


def _table(title: str, *columns: str) -> Table:
    """A table of numbers, beside the text in the first column."""
    table = Table(title=title, title_justify="left", box=None)
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left")
    return table


def _ranking(found: Backtest) -> Table:
    title = "Ranking of those who leave below those who stay (AUC; 0.5 is chance), with 95 % intervals by account"
    table = _table(
        title, "score", "decisions", "churned", "AUC", "above the plain count", "no score", "of them churned"
    )
    for each in found.scores:
        known, unknown = each.known, each.unknown
        table.add_row(
            each.name,
            f"{known.decisions:,}",
            f"{known.churned:,}",
            interval(each.auc),
            NOTHING if each.difference is None else interval(each.difference, "+.3f"),
            f"{unknown.decisions:,}",
            f"{unknown.churned:,}",
        )
    return table


def _months(found: Backtest) -> Table:
    table = _table("AUC by the month of the outcome", "month", *(each.name for each in found.scores))
    for row in month_rows(found.scores):
        table.add_row(*row)
    return table


def _bands(report: ScoreReport) -> Table:
    table = _table(f"{report.name}: churn by band", "band", *SHARES)
    for band, found in report.bands.items():
        table.add_row(band, *share_cells(found))
    return table


def _tenths(report: ScoreReport) -> Table:
    table = _table(f"{report.name}: churn by tenth of the score", "score", *SHARES)
    for tenth in report.tenths:
        table.add_row(f"{tenth.low:.1f} to {tenth.high:.1f}", *share_cells(tenth.found))
    return table


def _owners(rows: list[tuple[str, ...]]) -> Table:
    table = _table("Rules: alerts by owner of the account", *OWNERS)
    for row in rows:
        table.add_row(*row)
    return table


def _rules(rules: list[RuleReport]) -> Table:
    columns = ("churners in time", "account-days firing", "precision", "chance", "median lead", "alerts per week")
    table = _table("Rules: firing on the day of the decision", "rule", *columns)
    for rule in rules:
        table.add_row(*rule_cells(rule))
    return table

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
from service.jobs.backtest.terminal_table import terminal_table


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


def _ranking(found: Backtest) -> Table:
    columns = ("score", "decisions", "churned", "AUC", "above the plain count", "no score", "of them churned")
    title = "Ranking of those who leave below those who stay (AUC; 0.5 is chance), with 95 % intervals by account"
    rows = [
        (
            each.name,
            f"{each.known.decisions:,}",
            f"{each.known.churned:,}",
            interval(each.auc),
            NOTHING if each.difference is None else interval(each.difference, "+.3f"),
            f"{each.unknown.decisions:,}",
            f"{each.unknown.churned:,}",
        )
        for each in found.scores
    ]
    return terminal_table(title, columns, rows)


def _months(found: Backtest) -> Table:
    columns = ("month", *(each.name for each in found.scores))
    return terminal_table("AUC by the month of the outcome", columns, month_rows(found.scores))


def _bands(report: ScoreReport) -> Table:
    rows = [(band, *share_cells(found)) for band, found in report.bands.items()]
    return terminal_table(f"{report.name}: churn by band", ("band", *SHARES), rows)


def _tenths(report: ScoreReport) -> Table:
    rows = [(f"{tenth.low:.1f} to {tenth.high:.1f}", *share_cells(tenth.found)) for tenth in report.tenths]
    return terminal_table(f"{report.name}: churn by tenth of the score", ("score", *SHARES), rows)


def _owners(rows: list[tuple[str, ...]]) -> Table:
    return terminal_table("Rules: alerts by owner of the account", OWNERS, rows)


def _rules(rules: list[RuleReport]) -> Table:
    columns = (
        "rule",
        "churners in time",
        "account-days firing",
        "precision",
        "chance",
        "median lead",
        "alerts per week",
    )
    return terminal_table("Rules: firing on the day of the decision", columns, map(rule_cells, rules))

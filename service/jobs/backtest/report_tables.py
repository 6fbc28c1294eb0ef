"""A back-test on a terminal: sentences and tables."""

from collections.abc import Iterator
from math import isnan

from rich.console import Console
from rich.table import Table

from scoring.backtest.discrimination import Interval
from scoring.backtest.report import ScoreReport, Share
from scoring.backtest.rule_report import RuleReport
from service.jobs.backtest.backtest import Backtest, left_out_line

NOTHING = "-"


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


def summary(found: Backtest) -> Iterator[str]:
    """The back-test's material in sentences, and what was left out of it."""
    yield (
        f"{found.events:,} events of {found.accounts:,} accounts, {found.first_day} to {found.last_day}. "
        f"{found.decisions.decisions:,} decisions {found.lead_days} days ahead, {found.decisions.churned:,} churned."
    )
    if found.skipped_rows:
        yield f"{found.skipped_rows:,} rows of the log that can't be events are left out."
    yield from map(left_out_line, found.left_out)


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
            _interval(each.auc),
            NOTHING if each.difference is None else _interval(each.difference, "+.3f"),
            f"{unknown.decisions:,}",
            f"{unknown.churned:,}",
        )
    return table


def _months(found: Backtest) -> Table:
    table = _table("AUC by the month of the outcome", "month", *(each.name for each in found.scores))
    by_score = [{month.month: month.auc for month in each.months} for each in found.scores]
    for month in sorted(set().union(*by_score)):
        table.add_row(month, *(_number(of_score.get(month, float("nan"))) for of_score in by_score))
    return table


def _bands(report: ScoreReport) -> Table:
    table = _table(f"{report.name}: churn by band", "band", "decisions", "churned", "share")
    for band, found in report.bands.items():
        table.add_row(band, *_share(found))
    return table


def _tenths(report: ScoreReport) -> Table:
    table = _table(f"{report.name}: churn by tenth of the score", "score", "decisions", "churned", "share")
    for tenth in report.tenths:
        table.add_row(f"{tenth.low:.1f} to {tenth.high:.1f}", *_share(tenth.found))
    return table


def _rules(rules: list[RuleReport]) -> Table:
    columns = ("churners in time", "account-days firing", "precision", "chance", "median lead", "alerts per week")
    table = _table("Rules: firing on the day of the decision", "rule", *columns)
    for rule in rules:
        table.add_row(
            rule.name,
            f"{rule.churners.churned:,} of {rule.churners.decisions:,}",
            f"{rule.account_days:.1%}",
            _percent(rule.precision.share),
            f"{rule.chance.share.estimate:.1%}",
            NOTHING if rule.lead_days is None else f"{rule.lead_days:g} days",
            f"{rule.alerts_per_week:.1f}",
        )
    return table


def _share(found: Share) -> tuple[str, str, str]:
    return f"{found.decisions:,}", f"{found.churned:,}", _percent(found.share)


def _percent(found: Interval) -> str:
    return NOTHING if isnan(found.estimate) else f"{found.estimate:.1%} [{found.low:.1%}, {found.high:.1%}]"


def _interval(found: Interval, form: str = ".3f") -> str:
    if isnan(found.estimate):
        return NOTHING
    bounds = f"[{_number(found.low, form)}, {_number(found.high, form)}]"
    return f"{found.estimate:{form}} {bounds}"


def _number(value: float, form: str = ".3f") -> str:
    return NOTHING if isnan(value) else f"{value:{form}}"

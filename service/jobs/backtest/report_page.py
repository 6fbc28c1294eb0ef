"""A back-test as one HTML page that needs nothing else: sentences, tables, and charts as inline SVG."""

from collections.abc import Sequence

from scoring.backtest.report import ScoreReport
from scoring.backtest.rule_report import RuleReport
from service.jobs.backtest.backtest import Backtest
from service.jobs.backtest.page_parts import bullets, chart, heading, paragraph, share_chart, table, whole_page
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


def page(found: Backtest) -> str:
    """The whole page."""
    parts = [
        *map(paragraph, summary(found)),
        heading("Who leaves is rated lower than who stays"),
        bullets(report.verdict for report in found.scores),
        chart("AUC with 95 % interval; the line is chance", [(each.name, each.auc) for each in found.scores], 0.5),
        _ranking(found.scores),
        _months(found.scores),
        *(_score(report) for report in found.scores),
        *([_rules(found.rules)] if found.rules else ()),
    ]
    return whole_page("Back-test", parts)


def _score(report: ScoreReport) -> str:
    tenths = [(f"{each.low:.1f} to {each.high:.1f}", each.found.share) for each in report.tenths]
    parts = [heading(report.name)]
    if report.bands:
        rows = [(band, *share_cells(each)) for band, each in report.bands.items()]
        parts.append(table("Churn by band", ("band", *SHARES), rows))
    parts.append(share_chart("Share that churned, by tenth of the score, with 95 % interval", tenths))
    rows = [(label, *share_cells(each.found)) for (label, _), each in zip(tenths, report.tenths, strict=True)]
    parts.append(table("Churn by tenth of the score", ("score", *SHARES), rows))
    return "\n".join(parts)


def _ranking(scores: list[ScoreReport]) -> str:
    rows = [
        (
            each.name,
            f"{each.known.decisions:,}",
            f"{each.known.churned:,}",
            interval(each.auc),
            NOTHING if each.difference is None else interval(each.difference, "+.3f"),
            f"{each.unknown.decisions:,} ({each.unknown.churned:,} churned)",
        )
        for each in scores
    ]
    return table("AUC", ("score", "decisions", "churned", "AUC", "above the plain count", "no score"), rows)


def _months(scores: list[ScoreReport]) -> str:
    return table("AUC by the month of the outcome", ("month", *(each.name for each in scores)), month_rows(scores))


def _rules(rules: Sequence[RuleReport]) -> str:
    columns = ("rule", "churners in time", "account-days firing", "precision", "chance", "median lead", "alerts a week")
    parts = [heading("Rules"), table("Firing on the day of the decision", columns, map(rule_cells, rules))]
    if rows := list(owner_rows(rules)):
        parts.append(table("Alerts by owner of the account", OWNERS, rows))
    return "\n".join(parts)

"""A back-test as one HTML page that needs nothing else: sentences, tables, and charts as inline SVG."""

from collections.abc import Iterable, Sequence
from html import escape
from math import isnan
from string import Template

from scoring.backtest.discrimination import Interval
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

_PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Back-test</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1f2933 }
table { border-collapse: collapse; margin: 1rem 0 } caption { text-align: left; font-weight: 600 }
th, td { padding: .2rem .8rem .2rem 0; text-align: right; border-bottom: 1px solid #d9e2ec }
th:first-child, td:first-child { text-align: left; overflow-wrap: anywhere }
svg text { font: 12px system-ui, sans-serif; fill: #1f2933 } figure { margin: 1rem 0 }
</style></head><body>
<h1>Back-test</h1>
$body
</body></html>
""")
_CHART, _LABELS, _ROW = 480, 260, 26
"""Widths of a chart and of its labels, and the height of a row, in pixels."""


def page(found: Backtest) -> str:
    """The whole page."""
    parts = [
        *(f"<p>{escape(each)}</p>" for each in summary(found)),
        "<h2>Who leaves is rated lower than who stays</h2>",
        _list(report.verdict for report in found.scores),
        _chart("AUC with 95 % interval; the line is chance", [(each.name, each.auc) for each in found.scores], 0.5),
        _ranking(found.scores),
        _months(found.scores),
        *(_score(report) for report in found.scores),
        *([_rules(found.rules)] if found.rules else ()),
    ]
    return _PAGE.substitute(body="\n".join(parts))


def _score(report: ScoreReport) -> str:
    tenths = [(f"{each.low:.1f} to {each.high:.1f}", each.found.share) for each in report.tenths]
    parts = [f"<h2>{escape(report.name)}</h2>"]
    if report.bands:
        rows = [(band, *share_cells(each)) for band, each in report.bands.items()]
        parts.append(_table("Churn by band", ("band", *SHARES), rows))
    parts.append(_chart("Share that churned, by tenth of the score, with 95 % interval", tenths, None))
    rows = [(label, *share_cells(each.found)) for (label, _), each in zip(tenths, report.tenths, strict=True)]
    parts.append(_table("Churn by tenth of the score", ("score", *SHARES), rows))
    return "\n".join(parts)


def _ranking(scores: list[ScoreReport]) -> str:
    rows = [
        (
            each.name,
            f"{each.known.decisions:,}",
            f"{each.known.churned:,}",
            interval(each.auc),
            NOTHING if each.difference is None else interval(each.difference),
            f"{each.unknown.decisions:,} ({each.unknown.churned:,} churned)",
        )
        for each in scores
    ]
    return _table("AUC", ("score", "decisions", "churned", "AUC", "above the plain count", "no score"), rows)


def _months(scores: list[ScoreReport]) -> str:
    return _table("AUC by the month of the outcome", ("month", *(each.name for each in scores)), month_rows(scores))


def _rules(rules: Sequence[RuleReport]) -> str:
    columns = ("rule", "churners in time", "account-days firing", "precision", "chance", "median lead", "alerts a week")
    parts = ["<h2>Rules</h2>", _table("Firing on the day of the decision", columns, map(rule_cells, rules))]
    if rows := list(owner_rows(rules)):
        parts.append(_table("Alerts by owner of the account", OWNERS, rows))
    return "\n".join(parts)


def _list(sentences: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(each)}</li>" for each in sentences) + "</ul>"


def _table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th scope='col'>{escape(column)}</th>" for column in columns)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>\n" for row in rows)
    return f"<table><caption>{escape(caption)}</caption>\n<tr>{head}</tr>\n{body}</table>"


def _chart(title: str, rows: Sequence[tuple[str, Interval]], line: float | None) -> str:
    """Estimates as dots on their intervals, one a row, from 0 to 1; those that can't be computed have none."""
    height = _ROW * len(rows) + 24
    parts = [_bar(label, value, _ROW * row + _ROW // 2) for row, (label, value) in enumerate(rows)]
    if line is not None:
        x = _place(line)
        parts.append(f'<line x1="{x}" y1="0" x2="{x}" y2="{_ROW * len(rows)}" stroke="#829ab1" stroke-dasharray="4"/>')
    ticks = (0.0, 0.5, 1.0)
    parts += [f'<text x="{_place(tick)}" y="{height - 6}" text-anchor="middle">{tick:g}</text>' for tick in ticks]
    size = f'width="{_LABELS + _CHART + 20}" height="{height}"'
    return (
        f"<figure><figcaption>{escape(title)}</figcaption>"
        f'<svg {size} role="img" aria-label="{escape(title)}">{"".join(parts)}</svg></figure>'
    )


def _bar(label: str, value: Interval, y: int) -> str:
    shown = label if len(label) <= 38 else f"…{label[-37:]}"
    text = f'<text x="0" y="{y + 4}">{escape(shown)}</text>'
    if isnan(value.estimate):
        return text
    dot = f'<circle cx="{_place(value.estimate)}" cy="{y}" r="5" fill="#0b69a3"/>'
    if isnan(value.low):
        return text + dot
    ends = f'x1="{_place(value.low)}" x2="{_place(value.high)}"'
    return f'{text}<line {ends} y1="{y}" y2="{y}" stroke="#0b69a3" stroke-width="2"/>{dot}'


def _place(share: float) -> str:
    return f"{_LABELS + share * _CHART:.1f}"

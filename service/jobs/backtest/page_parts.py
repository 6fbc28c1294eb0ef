"""Pieces of HTML pages that need nothing else: sentences, tables, and charts as inline SVG."""

from collections.abc import Iterable, Sequence
from html import escape
from math import isnan
from string import Template

from scoring.backtest.discrimination import Interval

_PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>$title</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem; color: #1f2933 }
table { border-collapse: collapse; margin: 1rem 0; min-width: 36rem }
caption { text-align: left; font-weight: 600; padding-bottom: .3rem }
th, td { padding: .2rem 0 .2rem 1.2rem; text-align: right; border-bottom: 1px solid #d9e2ec; vertical-align: bottom }
td { white-space: nowrap } th:first-child, td:first-child { text-align: left; padding-left: 0 }
td:first-child { white-space: normal; overflow-wrap: anywhere; min-width: 11rem }
figcaption { font-weight: 600; padding-bottom: .3rem }
svg { max-width: 100%; height: auto } svg text { font: 12px system-ui, sans-serif; fill: #1f2933 }
figure { margin: 1rem 0 }
</style></head><body>
<h1>$title</h1>
$body
</body></html>
""")
_CHART, _LABELS, _ROW = 480, 260, 26
"""Widths of a chart and of its labels, and the height of a row, in pixels."""
_WIDTH = _LABELS + _CHART + 20
_LONGEST_LABEL = 38
_BLUE, _GREY = "#0b69a3", "#829ab1"
_TOPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""The shares at which a chart of shares may end."""


def whole_page(title: str, parts: Iterable[str]) -> str:
    """The page with all parts under a title."""
    return _PAGE.substitute(title=escape(title), body="\n".join(parts))


def paragraph(sentence: str) -> str:
    """A sentence by itself."""
    return f"<p>{escape(sentence)}</p>"


def heading(words: str) -> str:
    """A heading within the page."""
    return f"<h2>{escape(words)}</h2>"


def bullets(sentences: Iterable[str]) -> str:
    """A list of sentences."""
    return "<ul>" + "".join(f"<li>{escape(each)}</li>" for each in sentences) + "</ul>"


def table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of numbers, beside the text in the first column."""
    head = "".join(f"<th scope='col'>{escape(column)}</th>" for column in columns)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>\n" for row in rows)
    return f"<table><caption>{escape(caption)}</caption>\n<tr>{head}</tr>\n{body}</table>"


def chart(
    title: str, rows: Sequence[tuple[str, Interval]], line: float | None, expected: Sequence[float] = (), top: float = 1
) -> str:
    """Estimates as dots on their intervals, one a row, from 0 to `top`; those that can't be computed have none.

    `line` is drawn through all rows, and each of `expected` as a ring in its own row.
    """
    bottom = _ROW * len(rows)
    parts = [_bar(label, value, _ROW * row + _ROW // 2, top) for row, (label, value) in enumerate(rows)]
    if line is not None:
        parts.append(_dashes(_place(line, top), 0, _place(line, top), bottom))
    parts += [
        f'<circle cx="{_place(each, top)}" cy="{_ROW * row + _ROW // 2}" r="7" fill="none" stroke="{_GREY}"/>'
        for row, each in enumerate(expected)
    ]
    parts += [_text(_place(tick, top), bottom + 18, _tick(tick, top), "middle") for tick in (0.0, top / 2, top)]
    return _figure(title, bottom + 24, parts)


def share_chart(title: str, rows: Sequence[tuple[str, Interval]], expected: Sequence[float] = ()) -> str:
    """A chart of shares that may all be small: it ends at a round share above them."""
    known = [value.high for _, value in rows if not isnan(value.high)] + list(expected)
    return chart(title, rows, None, expected, _round_up(max(known, default=1.0)))


def curve(title: str, points: Sequence[tuple[float, float]], line: float) -> str:
    """Probabilities by score, from 0 to 100, with a line at one of them."""
    top, height = _round_up(max(line, *(share for _, share in points))), 200

    def at(score: float, share: float) -> tuple[str, str]:
        return f"{_LABELS + score / 100 * _CHART:.1f}", f"{height - share / top * (height - 20):.1f}"

    drawn = " ".join(",".join(at(*point)) for point in points)
    parts = [
        _dashes(*at(0, line), *at(100, line)),
        f'<polyline points="{drawn}" fill="none" stroke="{_BLUE}" stroke-width="2"/>',
        *(_text(str(_LABELS - 8), at(0, tick)[1], _tick(tick, top), "end") for tick in (0.0, top / 2, top)),
        *(_text(at(score, 0)[0], str(height + 18), str(score), "middle") for score in (0, 50, 100)),
    ]
    return _figure(title, height + 24, parts)


def _figure(title: str, height: int, parts: Iterable[str]) -> str:
    size = f'viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}"'
    return (
        f"<figure><figcaption>{escape(title)}</figcaption>"
        f'<svg {size} role="img" aria-label="{escape(title)}">{"".join(parts)}</svg></figure>'
    )


def _bar(label: str, value: Interval, y: int, top: float) -> str:
    shown = label if len(label) <= _LONGEST_LABEL else f"…{label[1 - _LONGEST_LABEL :]}"
    text = _text("0", y + 4, shown, "start")
    if isnan(value.estimate):
        return text
    dot = f'<circle cx="{_place(value.estimate, top)}" cy="{y}" r="5" fill="{_BLUE}"/>'
    if isnan(value.low):
        return text + dot
    ends = f'x1="{_place(value.low, top)}" x2="{_place(value.high, top)}"'
    return f'{text}<line {ends} y1="{y}" y2="{y}" stroke="{_BLUE}" stroke-width="2"/>{dot}'


def _dashes(x1: object, y1: object, x2: object, y2: object) -> str:
    return f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="{_GREY}" stroke-dasharray="4"/>'


def _text(x: object, y: object, words: str, anchor: str) -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}">{escape(words)}</text>'


def _place(share: float, top: float) -> str:
    return f"{_LABELS + share / top * _CHART:.1f}"


def _round_up(share: float) -> float:
    return next(top for top in _TOPS if share <= top or top == 1)


def _tick(share: float, top: float) -> str:
    return f"{share:g}" if top == 1 else f"{100 * share:g}%"

"""A preview on a terminal: tables of bands, scorecards, scores, accounts and alerts."""

from collections.abc import Sequence

from rich.table import Table

from scoring.scorecards.drivers import Driver
from scoring.whatif.preview_summary import AccountMove, PreviewShift, PreviewSummary, Range, RuleAlerts

BANDS = ("green", "yellow", "red", "unknown")


def tables(summary: PreviewSummary) -> list[Table]:
    """The tables that aren't empty, in the order in which they are read."""
    score = summary.score
    mean = "no account has one before and after" if score.mean is None else f"{score.mean:+.2f} in the mean"
    shown = [_bands(summary.bands)]
    if summary.scorecards:
        shown.append(_scorecards(summary.scorecards))
    shown.append(_distribution(f"Change of the score: {mean}", score.distribution))
    shown += [_moves(title, moves) for title, moves in (("Most up", score.up), ("Most down", score.down)) if moves]
    if summary.rules:
        shown.append(_alerts(summary.rules))
    return shown


def _table(title: str, *columns: str, texts: int = 1) -> Table:
    """A table whose first `texts` columns are text; the others are numbers."""
    table = Table(title=title, title_justify="left", box=None)
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index < texts else "right")
    return table


def _bands(shifts: Sequence[PreviewShift]) -> Table:
    accounts = {(shift.before, shift.after): shift.accounts for shift in shifts}
    table = _table("Accounts by band, now and then", "now", *BANDS)
    for before in BANDS:
        table.add_row(before, *(_count(accounts.get((before, after), 0)) for after in BANDS))
    return table


def _scorecards(shifts: Sequence[PreviewShift]) -> Table:
    table = _table("Accounts that change their scorecard", "now", "then", "accounts", texts=2)
    for shift in shifts:
        table.add_row(shift.before, shift.after, _count(shift.accounts))
    return table


def _distribution(title: str, ranges: Sequence[Range]) -> Table:
    table = _table(title, "points", "accounts")
    for each in ranges:
        table.add_row(_points(each), _count(each.accounts))
    return table


def _points(each: Range) -> str:
    if each.low is None:
        return f"{each.high:+g} and below"
    if each.high is None:
        return f"{each.low:+g} and above"
    return f"{each.low:+g} to {each.high:+g}"


def _moves(title: str, moves: Sequence[AccountMove]) -> Table:
    table = _table(title, "account", "name", "now", "then", "why", texts=2)
    table.columns[-1].justify = "left"
    for move in moves:
        before, after = f"{move.before:.1f} {move.band_before}", f"{move.after:.1f} {move.band_after}"
        table.add_row(move.account_id, move.name or "", before, after, _why(move.drivers))
    return table


def _why(drivers: Sequence[Driver]) -> str:
    return ", ".join(f"{driver.measure} {driver.delta:+.1f}" for driver in drivers)


def _alerts(rules: Sequence[RuleAlerts]) -> Table:
    table = _table("Alerts", "rule", "fire", "resolved")
    for rule in rules:
        table.add_row(rule.name, _count(rule.firing), _count(rule.resolved))
    return table


def _count(accounts: int) -> str:
    return f"{accounts:,}" if accounts else "-"

"""The sentences and numbers of a back-test as text, for the terminal and the page alike."""

from collections.abc import Iterator, Sequence
from math import isnan

from scoring.backtest.discrimination import Interval
from scoring.backtest.report import ScoreReport, Share
from scoring.backtest.rule_report import RuleReport
from service.jobs.backtest.backtest import Backtest, left_out_line

NOTHING = "-"
MOST_OWNERS = 10
OWNERS = ("rule", "owner", "alerts", "alerts per week")
"""The columns of `owner_rows`."""
SHARES = ("decisions", "churned", "share")
"""The columns of `share_cells`."""


def summary(found: Backtest) -> Iterator[str]:
    """The back-test's material in sentences, and what was left out of it."""
    yield (
        f"{found.events:,} events of {found.accounts:,} accounts, {found.first_day} to {found.last_day}. "
        f"{found.decisions.decisions:,} decisions {found.lead_days} days ahead, {found.decisions.churned:,} churned"
        f"{'' if found.horizon_days is None else f' within {found.horizon_days} days'}."
    )
    if found.skipped_rows:
        yield f"{found.skipped_rows:,} rows of the log that can't be events are left out."
    yield from map(left_out_line, found.left_out)


def month_rows(scores: list[ScoreReport]) -> Iterator[tuple[str, ...]]:
    """A row per month: its name, and the AUC of each score in it."""
    by_score = [{month.month: month.auc for month in each.months} for each in scores]
    for month in sorted(set().union(*by_score)):
        yield month, *(number(of_score.get(month, float("nan"))) for of_score in by_score)


def rule_cells(rule: RuleReport) -> tuple[str, ...]:
    """A rule's name, churners in time, account-days firing, precision, chance, median lead, and alerts a week."""
    return (
        rule.name,
        f"{rule.churners.churned:,} of {rule.churners.decisions:,}",
        f"{rule.account_days:.1%}",
        percent(rule.precision.share),
        f"{rule.chance.share.estimate:.1%}",
        NOTHING if rule.lead_days is None else f"{rule.lead_days:g} days",
        f"{rule.alerts_per_week:.1f}",
    )


def owner_rows(rules: Sequence[RuleReport]) -> Iterator[tuple[str, ...]]:
    """A row for each rule and each of the owners who would have got most of its alerts; none if no owner is known."""
    if any(each.owner is not None for rule in rules for each in rule.owners):
        for rule in rules:
            for each in rule.owners[:MOST_OWNERS]:
                yield rule.name, each.owner or "nobody", f"{each.alerts:,}", f"{each.per_week:.1f}"
            if more := rule.owners[MOST_OWNERS:]:
                alerts, per_week = sum(each.alerts for each in more), sum(each.per_week for each in more)
                yield rule.name, f"{len(more):,} others", f"{alerts:,}", f"{per_week:.1f}"


def share_cells(found: Share) -> tuple[str, str, str]:
    """Decisions, those that churned, and their share with its interval."""
    return f"{found.decisions:,}", f"{found.churned:,}", percent(found.share)


def percent(found: Interval) -> str:
    """A share with its interval."""
    return NOTHING if isnan(found.estimate) else f"{found.estimate:.1%} [{found.low:.1%}, {found.high:.1%}]"


def interval(found: Interval, form: str = ".3f") -> str:
    """An estimate with its interval."""
    if isnan(found.estimate):
        return NOTHING
    return f"{found.estimate:{form}} [{number(found.low, form)}, {number(found.high, form)}]"


def number(value: float, form: str = ".3f") -> str:
    """A number; a dash if it can't be computed."""
    return NOTHING if isnan(value) else f"{value:{form}}"

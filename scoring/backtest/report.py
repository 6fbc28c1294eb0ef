"""The ability of scores to tell in advance who leaves: ranking, by month and band, and churn by tenth of the score."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from msgspec import Struct

from scoring.backtest.discrimination import Interval, auc, auc_interval, difference_interval, wilson
from scoring.backtest.outcomes import Decision
from scoring.state.calendar import from_day

BANDS = ("green", "yellow", "red")
TENTHS = 10
COUNT = "plain count"
"""The name of the score that anybody can work out: the number of events of the last 28 days."""
COUNT_DAYS = 28
FEWEST_CHURNED = 10
"""With fewer churned accounts nothing is claimed: the interval itself is then only a guess."""


class Judged(NamedTuple):
    """A decision with the score and band at its end; the score is None while too little is known of the account."""

    decision: Decision
    score: float | None
    band: str | None = None


class Share(Struct, frozen=True):
    """Decisions, those of them that churned, and their share with its interval."""

    decisions: int
    churned: int
    share: Interval


class Month(Struct, frozen=True):
    """The AUC of the decisions whose outcomes fall into a month (`2024-05`); NaN unless there are both outcomes."""

    month: str
    decisions: int
    churned: int
    auc: float


class Tenth(Struct, frozen=True):
    """About a tenth of the decisions, by score: the lowest and highest score in it, and how many churned."""

    low: float
    high: float
    found: Share


class ScoreReport(Struct, frozen=True):
    """The worth of one score. `unknown` are the decisions that have none; they count in nothing else.

    `difference` is by how much its AUC exceeds that of the plain count on the decisions that it has a score for.
    """

    name: str
    known: Share
    unknown: Share
    auc: Interval
    difference: Interval | None
    months: list[Month]
    bands: dict[str, Share]
    tenths: list[Tenth]
    verdict: str


def score_reports(scores: Mapping[str, Sequence[Judged]], counts: Sequence[Judged]) -> list[ScoreReport]:
    """The reports of scores by name, and of the plain count at the end. All judge the same decisions in one order."""
    return [_report(name, judged, counts) for name, judged in scores.items()] + [_report(COUNT, counts, None)]


def share(churned: Sequence[bool]) -> Share:
    """The share of those that churned."""
    return Share(len(churned), sum(churned), wilson(sum(churned), len(churned)))


def _report(name: str, judged: Sequence[Judged], counts: Sequence[Judged] | None) -> ScoreReport:
    known = [each for each in judged if each.score is not None]
    scores, left, accounts = _columns(known)
    found = auc_interval(scores, left, accounts)
    difference = None
    if counts is not None:
        others = [count.score for each, count in zip(judged, counts, strict=True) if each.score is not None]
        difference = difference_interval(scores, np.asarray(others, float), left, accounts)
    return ScoreReport(
        name=name,
        known=share(left),
        unknown=share([each.decision.outcome.churned for each in judged if each.score is None]),
        auc=found,
        difference=difference,
        months=_months(known),
        bands=_bands(known),
        tenths=_tenths(known),
        verdict=verdict(name, found, difference, _churned_accounts(known)),
    )


def _columns(known: Sequence[Judged]) -> tuple[list[float], list[bool], list[str]]:
    return (
        [each.score for each in known if each.score is not None],
        [each.decision.outcome.churned for each in known],
        [each.decision.account_id for each in known],
    )


def _churned_accounts(known: Sequence[Judged]) -> int:
    return len({each.decision.account_id for each in known if each.decision.outcome.churned})


def _months(known: Sequence[Judged]) -> list[Month]:
    by_month: dict[str, list[Judged]] = {}
    for each in known:
        by_month.setdefault(f"{from_day(each.decision.outcome.day):%Y-%m}", []).append(each)
    months = []
    for month, of_month in sorted(by_month.items()):
        scores, left, _ = _columns(of_month)
        months.append(Month(month, len(left), sum(left), auc(scores, left)))
    return months


def _bands(known: Sequence[Judged]) -> dict[str, Share]:
    """The churn in each band; none for a score without bands."""
    if not any(each.band for each in known):
        return {}
    return {band: share([each.decision.outcome.churned for each in known if each.band == band]) for band in BANDS}


def _tenths(known: Sequence[Judged]) -> list[Tenth]:
    """Tenths of the decisions by score, the lowest first; equal scores are never parted, so there may be fewer."""
    if not known:
        return []
    scores, left = map(np.asarray, _columns(known)[:2])
    edges = np.unique(np.quantile(scores, np.arange(1, TENTHS) / TENTHS, method="higher"))
    tenth_of = np.searchsorted(edges, scores, side="right")
    tenths = []
    for number in np.unique(tenth_of):
        mine = tenth_of == number
        tenths.append(Tenth(float(scores[mine].min()), float(scores[mine].max()), share(left[mine].tolist())))
    return tenths


def verdict(name: str, found: Interval, difference: Interval | None, churned_accounts: int) -> str:
    """One sentence on a score. It claims nothing that the intervals don't bear out."""
    if churned_accounts < FEWEST_CHURNED:
        accounts = f"{churned_accounts} account{'' if churned_accounts == 1 else 's'}"
        return f"{name}: only {accounts} churned, too few to say whether it tells in advance who leaves."
    if np.isnan(found.low):
        return f"{name}: all accounts churned, so there is nobody to tell them from."
    return f"{name}: {_ranking(found)}{_beside(difference)}."


def _ranking(found: Interval) -> str:
    pairs = (
        "of an account that left and one that stayed, it rated the one that left lower in "
        f"{found.estimate:.0%} of all cases ({found.low:.0%} to {found.high:.0%}; chance is 50%)"
    )
    if found.high < 0.5:
        return f"it is worse than chance, {pairs}"
    return pairs if found.low > 0.5 else f"it isn't shown to be better than chance, {pairs}"


def _beside(difference: Interval | None) -> str:
    if difference is None:
        return ""
    if difference.low > 0:
        return f". That is better than the {COUNT}"
    if difference.high < 0:
        return f". That is worse than the {COUNT}"
    return f". It isn't shown to be better or worse than the {COUNT}"

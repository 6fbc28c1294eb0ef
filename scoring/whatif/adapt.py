"""Adapts a scorecard to a portfolio: the knots of its curves become quantiles of the accounts that are in force now.

No outcomes are needed. Weights, windows, bands and policies stay. A curve keeps its own points where they mean
something whatever the portfolio, and where too little is known to replace them.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from scoring.scorecards.catalogue import CATALOGUE
from scoring.scorecards.curve import compile_curve
from scoring.scorecards.document import MeasureDocument, ScorecardDocument
from scoring.scorecards.measure import Missing, Value
from scoring.whatif.quantile_curve import Points, rank_curve

LEAST_VALUES = 20
"""Accounts with a value from which a measure's curve is adapted."""
MOST_VETOED = 1 / 3
"""The share of accounts with a value up to which a veto stays. One that caps more says what the product is like, and
not who leaves; all those that it caps would have the same score.
"""
STEADY = 1.0
"""The trend from which on a curve is flat: growth says no more than steady use does."""
_HAIR = 1e-9

Fate = Literal["adapted", "veto_dropped", "too_few", "all_equal", "veto_only", "date", "contrary", "veto_unclear"]
"""`adapted` and `veto_dropped` have a new curve, the others their own."""


class AdaptedMeasure(Struct, frozen=True):
    """A measure with its new curve, or its own and the reason why. `vetoed` accounts are beyond its own veto."""

    before: MeasureDocument
    after: MeasureDocument
    fate: Fate
    values: int
    vetoed: int = 0


class AdaptedScorecard(Struct, frozen=True):
    """The adapted document, and what became of its measures, in its order."""

    document: ScorecardDocument
    measures: list[AdaptedMeasure]


def adapt(document: ScorecardDocument, accounts: Sequence[Sequence[Value]]) -> AdaptedScorecard:
    """Adapt a checked document to its readings of accounts, which are in the order of its measures.

    A calibration of the old curves says nothing about the new ones, so there is none afterwards. Adapting the result to
    the same accounts changes nothing.
    """
    measures = [
        adapt_measure(measure, known(readings[index] for readings in accounts))
        for index, measure in enumerate(document.measures)
    ]
    adapted = replace(document, measures=[each.after for each in measures], calibration=None)
    return AdaptedScorecard(adapted, measures)


def known(readings: Iterable[Value]) -> list[float]:
    """The values that aren't missing."""
    return [value for value in readings if not isinstance(value, Missing)]


def adapt_measure(measure: MeasureDocument, values: Sequence[float]) -> AdaptedMeasure:
    """Adapt one measure to the values that accounts have, in any order."""
    vetoed = _vetoed(measure, values)
    after, fate = measure, _reason_to_stay(measure, len(values))
    if fate is None:
        drops = vetoed > MOST_VETOED * len(values)
        after = replace(measure, veto=None) if drops else measure
        curve, fate = _new_curve(after, sorted(values))
        if fate != "adapted":
            after = measure
        else:
            after, fate = replace(after, curve=curve), "veto_dropped" if drops else "adapted"
    return AdaptedMeasure(measure, after, fate, len(values), vetoed)


def _vetoed(measure: MeasureDocument, values: Sequence[float]) -> int:
    if measure.veto is None:
        return 0
    curve, limit = compile_curve(measure.curve), measure.veto.below - _HAIR
    return sum([1 for value in values if curve(value) < limit])


def _reason_to_stay(measure: MeasureDocument, values: int) -> Fate | None:
    """The reason why a measure keeps its curve whatever the values are, if there is one."""
    if measure.weight == 0:
        return "veto_only"
    if not CATALOGUE[measure.measure].signals - {"attributes"}:
        return "date"
    if _direction(measure) is None:
        return "contrary"
    return "too_few" if values < LEAST_VALUES else None


def _direction(measure: MeasureDocument) -> bool | None:
    """True if the curve rises, False if it falls; None if it does what the catalogue calls worse, or both.

    Of single features less use may be better: there the scorecard's own direction counts. A growing use of such a
    feature would still say no more than a steady one.
    """
    rising = CATALOGUE[measure.measure].better == "high"
    if _goes(measure.curve, rising):
        return rising
    if measure.features and measure.measure != "usage_trend" and _goes(measure.curve, not rising):
        return not rising
    return None


def _goes(curve: Sequence[tuple[float, float]], rising: bool) -> bool:
    scores = [score for _, score in curve]
    return scores == sorted(scores, reverse=not rising) and scores[0] != scores[-1]


def _new_curve(measure: MeasureDocument, values: list[float]) -> tuple[Points, Fate]:
    rising = bool(_direction(measure))
    if measure.measure == "usage_trend":
        values = [min(value, STEADY) for value in values]
    found = rank_curve(values, rising=rising) if measure.veto is None else _beside_veto(measure, values, rising)
    if found is None:
        return [], "veto_unclear"
    return found, "adapted" if found else "all_equal"


def _beside_veto(measure: MeasureDocument, values: list[float], rising: bool) -> Points | None:
    """A curve that goes below the veto's limit at exactly the value where it did before; None if it never or always is.

    Beyond that value the old points stay; before it are the ranks, between the limit and full points.
    """
    assert measure.veto is not None
    limit = measure.veto.below
    own = sorted(measure.curve, reverse=rising)  # the best first
    fine = [point for point in own if point[1] >= limit]
    beyond = own[len(fine) :]
    if not fine or not beyond:
        return None
    (last, score), (first, below) = fine[-1], beyond[0]
    edge = last + (first - last) * (score - limit) / (score - below)
    if edge == first:  # closer than numbers can tell
        return None
    ranked = rank_curve(values, rising=rising, lowest=limit)
    kept = [(value, points) for value, points in ranked if (value > edge if rising else value < edge)]
    return sorted([*kept, (edge, limit), *beyond]) if kept else []

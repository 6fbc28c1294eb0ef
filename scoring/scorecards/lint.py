"""Warnings about valid scorecards that are probably mistakes, beside the problems of `scoring.scorecards.document`."""

from collections.abc import Iterable, Iterator

from scoring.scorecards.calibration import ScorecardCalibration
from scoring.scorecards.document import AppliesTo, MeasureDocument, ScorecardDocument, ScorecardProblem

MOST_MEASURES = 10
LEAST_SHARE = 0.01
"""Share of the sum of all weights; below it, a measure moves the score by less than a point."""


def warnings(document: ScorecardDocument) -> list[ScorecardProblem]:
    """The oddities of a checked document; empty if there are none."""
    return list(_warn(document))


def overlaps(document: ScorecardDocument, in_force: Iterable[ScorecardDocument]) -> list[ScorecardProblem]:
    """The scorecards in force that an account can match as well, at the same rank: there the name decides."""
    rivals = [other for other in in_force if other.name != document.name and _conflicts(document, other)]
    return [ScorecardProblem("applies_to.rank", _conflict_text(document, other)) for other in rivals]


def _warn(document: ScorecardDocument) -> Iterator[ScorecardProblem]:
    if document.applies_to:
        yield from _warn_of_nobody(document.applies_to)
    if len(document.measures) > MOST_MEASURES:
        count = len(document.measures)
        yield ScorecardProblem(
            "measures", f"{count} are more than {MOST_MEASURES}: no one of them moves the score much"
        )
    if document.calibration is not None:
        yield from _warn_of_calibration(document.calibration)
    total = sum(measure.weight for measure in document.measures)
    for index, measure in enumerate(document.measures):
        at = f"measures[{index}]"
        yield from _warn_of_weight(measure, at, total)
        yield from _warn_of_curve(measure, at)


def _warn_of_calibration(calibration: ScorecardCalibration) -> Iterator[ScorecardProblem]:
    (_, highest), (_, lowest) = calibration.probabilities[0], calibration.probabilities[-1]
    if highest == lowest:
        yield ScorecardProblem(
            "calibration.probabilities", f"are {highest:g} at every score: they tell nobody who is more likely to leave"
        )


def _warn_of_nobody(applies_to: AppliesTo) -> Iterator[ScorecardProblem]:
    for field in ("segments", "stages"):
        if getattr(applies_to, field) == []:
            yield ScorecardProblem(f"applies_to.{field}", "an empty list is for no account; leave it out to take all")


def _warn_of_weight(measure: MeasureDocument, at: str, total: float) -> Iterator[ScorecardProblem]:
    if measure.veto is not None:
        return
    if measure.weight == 0:
        yield ScorecardProblem(f"{at}.weight", f"is 0, and there is no veto: {measure.title} can't move the score")
    elif measure.weight < LEAST_SHARE * total:
        share = measure.weight / total
        yield ScorecardProblem(f"{at}.weight", f"is {share:.2%} of all weight: {measure.title} hardly moves the score")


def _warn_of_curve(measure: MeasureDocument, at: str) -> Iterator[ScorecardProblem]:
    scores = [score for _, score in measure.curve]
    lowest = min(scores)
    if lowest == max(scores):
        yield ScorecardProblem(f"{at}.curve", f"scores {lowest:g} whatever the value: {measure.title} shows nothing")
    if measure.veto is None:
        return
    if lowest >= measure.veto.below:
        yield ScorecardProblem(
            f"{at}.veto.below", f"the curve never goes below {measure.veto.below:g}: the veto can never apply"
        )
    if measure.veto.cap == 100:
        yield ScorecardProblem(f"{at}.veto.cap", "no score is above 100: the veto caps nothing")


def _conflicts(document: ScorecardDocument, other: ScorecardDocument) -> bool:
    one, two = document.applies_to, other.applies_to
    return one is not None and two is not None and one.rank == two.rank and _meet(one, two)


def _meet(one: AppliesTo, two: AppliesTo) -> bool:
    """True if an account can match both."""
    return (
        _share(one.segments, two.segments)
        and _share(one.stages, two.stages)
        and (
            one.tenure_days is None
            or two.tenure_days is None
            or max(one.tenure_days[0], two.tenure_days[0]) <= min(one.tenure_days[1], two.tenure_days[1])
        )
    )


def _share(one: list[str] | None, two: list[str] | None) -> bool:
    """True if a value can be in both; None stands for all values."""
    if one is None or two is None:
        return one != [] and two != []
    return not set(one).isdisjoint(two)


def _conflict_text(document: ScorecardDocument, other: ScorecardDocument) -> str:
    assert document.applies_to is not None
    wins = min(document.name, other.name)
    return (
        f"{document.applies_to.rank} is also the rank of {other.name}, and an account can match both: "
        f"{wins} wins, by its name; give one of them another rank"
    )

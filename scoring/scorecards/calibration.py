"""A scorecard's calibration: the probability of churn at each score, and the outcomes that it was worked out on.

It never changes a score.
"""

from bisect import bisect_right
from collections.abc import Iterator
from datetime import date
from itertools import pairwise
from operator import itemgetter
from typing import Annotated

from msgspec import Meta, Struct

MOST_DAYS = 3660

_Days = Annotated[int, Meta(ge=0, le=MOST_DAYS)]
_Horizon = Annotated[int, Meta(ge=1, le=MOST_DAYS)]
_Probability = Annotated[float, Meta(ge=0, le=1)]
_Score = Annotated[float, Meta(ge=0, le=100)]
_score_of = itemgetter(0)


class ScorecardCalibration(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The probability of churn by score, as outcomes of the past showed it; `account-health calibrate` works it out.

    `probabilities` are points of [score, probability], with straight lines between them; beyond the first and the last
    it stays as it is there. The outcomes are those from `first_day` to `last_day`: `decisions` of them, of which
    `churned` left. Scores were taken `lead_days` before. Where `horizon_days` is null, an outcome is a renewal; else it
    is whether the account left within so many days.
    """

    calibrated_on: date
    source: Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]
    first_day: date
    last_day: date
    lead_days: _Days
    horizon_days: _Horizon | None = None
    decisions: Annotated[int, Meta(ge=1, le=10**12)]
    churned: Annotated[int, Meta(ge=0, le=10**12)]
    probabilities: Annotated[list[tuple[_Score, _Probability]], Meta(min_length=2, max_length=101)]


def churn_probability(calibration: ScorecardCalibration | None, score: float | None) -> float | None:
    """The probability of churn at a score, 0 to 1; None without a calibration or a score.

    It is exact at the table's points, and never rises with the score.
    """
    if calibration is None or score is None:
        return None
    points = calibration.probabilities
    after = bisect_right(points, score, key=_score_of)
    if after == 0:
        return points[0][1]
    if after == len(points):
        return points[-1][1]
    (from_score, high), (to_score, low) = points[after - 1], points[after]
    slope = (low - high) / (to_score - from_score)
    # Rounding could take it past the end of the line, and it would rise at the next point.
    return max(high + slope * (score - from_score), low)


def faults(calibration: ScorecardCalibration) -> Iterator[tuple[str, str]]:
    """The fields at fault, and the values allowed there."""
    if calibration.first_day > calibration.last_day:
        yield "first_day", "must not be after last_day: they are the days of the first and the last outcome"
    if calibration.last_day > calibration.calibrated_on:
        yield "last_day", "must not be after calibrated_on: an outcome is known only on its own day"
    if calibration.churned > calibration.decisions:
        yield "churned", f"must be 0 to {calibration.decisions}, the number of decisions"
    scores, probabilities = zip(*calibration.probabilities, strict=True)
    if any(later <= earlier for earlier, later in pairwise(scores)):
        yield "probabilities", "scores must rise from point to point"
    if any(later > earlier for earlier, later in pairwise(probabilities)):
        yield "probabilities", "a probability must not be above that of a lower score: health goes down towards churn"

"""The scorecard document of a fit, whose score is an affine map of the log-odds.

With range r and curve f of each measure, its document has weight 100 r / sum(r) and curve 100 f / r, so that
score = 100 sum(f) / sum(r). This needs a policy for missing values that scores: excluding them would change the
divisor. Weights and curves are rounded for people to read, so a score is off by a tenth of a point at the most.
"""

from collections.abc import Sequence
from itertools import count
from typing import Literal, NamedTuple

from scoring.backtest.calibration.candidates import Candidate
from scoring.backtest.calibration.curves import Part
from scoring.backtest.calibration.fit import Fit
from scoring.backtest.calibration.solver import Array
from scoring.scorecards.document import DEFAULT, AppliesTo, Bands, MeasureDocument, ScorecardDocument

POINTS = 100.0
WEIGHT_DECIMALS, CURVE_DECIMALS = 2, 1


class NothingFoundError(ValueError):
    """No candidate says anything about the outcomes."""


class Scale(NamedTuple):
    """The affine map between log-odds of staying and scores."""

    lowest: float
    range: float

    def score(self, log_odds: Array) -> Array:
        """The scores of log-odds; of those that the card itself can't reach, outside 0 to 100."""
        return (log_odds - self.lowest) / self.range * POINTS


def scale_of(fit: Fit) -> Scale:
    """The scale of the fit's document. Raises `NothingFoundError` if no measure is left."""
    if not fit.parts:
        raise NothingFoundError("No measure tells those who left from those who stayed")
    return Scale(fit.constant, fit.range)


def document_of(
    fit: Fit,
    candidates: Sequence[Candidate],
    *,
    name: str = DEFAULT,
    bands: Bands | None = None,
    applies_to: AppliesTo | None = None,
) -> ScorecardDocument:
    """The fit as a document that can be published. Raises `NothingFoundError` if no measure is left."""
    total = scale_of(fit).range
    parts = [part for part in fit.parts if round(POINTS * part.range / total, WEIGHT_DECIMALS) > 0]
    chosen = [candidates[part.shape.column] for part in parts]
    measures = [
        _entry(part, candidate, title, POINTS * part.range / total)
        for part, candidate, title in zip(parts, chosen, _names(chosen), strict=True)
    ]
    return ScorecardDocument(name, measures, bands or Bands(), 0.0, applies_to)


def _entry(part: Part, candidate: Candidate, name: str, weight: float) -> MeasureDocument:
    curve = [(value, round(POINTS * height / part.range, CURVE_DECIMALS)) for value, height in part.points]
    missing: Literal["neutral", "worst"] = "worst" if part.shape.worst else "neutral"
    return candidate.entry(name, round(weight, WEIGHT_DECIMALS), _without_flat(curve), missing)


def _without_flat(curve: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The curve without points between two others of the same score, and without flat ends."""
    scores = [score for _, score in curve]
    inner = [
        point
        for point, before, after in zip(curve, [None, *scores], [*scores[1:], None], strict=False)
        if not (before in (None, point[1]) and after in (None, point[1]))
    ]
    return inner or curve[:1]


def _names(chosen: Sequence[Candidate]) -> list[str]:
    """A name for each, none twice."""
    names: list[str] = []
    for candidate in chosen:
        numbered = (candidate.name if number == 1 else f"{candidate.name}_{number}" for number in count(1))
        names.append(next(each for each in numbered if each not in names))
    return names

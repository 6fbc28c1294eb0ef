"""Compiled scorecards, and the score that they give an account's state.

With weight w and score s of the measures that count, score = sum(w s) / sum(w); each contributes w s / sum(w), so the
contributions sum to the score. A veto that caps the score is a negative contribution of its own.
"""

from dataclasses import dataclass, field
from typing import Literal

from msgspec import Struct

from scoring.scorecards.catalogue import CATALOGUE
from scoring.scorecards.curve import Curve, compile_curve
from scoring.scorecards.document import MissingScore, ScorecardDocument
from scoring.scorecards.measure import Measure, MeasureSignal, Missing, Parameters, Value
from scoring.scorecards.scale import NO_CAP, Scale
from scoring.state.account_state import AccountState

Band = Literal["green", "yellow", "red", "unknown"]
NEUTRAL = 50.0
DECIMALS = 9
"""Scores and coverages are rounded to these, so that an exact 70 doesn't end up a hair below 70."""
_PARTS = 10.0**DECIMALS
VETO = "veto:"
"""Prefix of the entry that a veto adds to the measures."""


class MeasureResult(Struct, frozen=True, array_like=True, gc=False):
    """The result of one measure. `score` and `contribution` are null if the measure doesn't count."""

    value: float | None
    score: float | None
    contribution: float | None
    missing: str | None = None


@dataclass(frozen=True, slots=True)
class CompiledMeasure:
    """A scorecard's measure, ready to run. `absent` is the score of a missing value; None excludes it."""

    name: str
    measure: Measure
    signals: frozenset[MeasureSignal]
    weight: float
    curve: Curve
    absent: float | None
    veto_below: float
    veto_cap: float

    def score(self, value: Value) -> float | None:
        """The score of `value`, 0 to 100; None if it doesn't count."""
        return self.absent if isinstance(value, Missing) else self.curve(value)


@dataclass(frozen=True, slots=True)
class Scorecard:
    """A published scorecard, compiled."""

    name: str
    version: int
    document: ScorecardDocument
    measures: tuple[CompiledMeasure, ...]
    weight: float
    yellow: float
    green: float
    min_coverage: float
    names: tuple[str, ...]
    """The names of the measures."""
    readers: tuple[Measure, ...]
    """The functions that read the measures. Like the scales below, they are flat because the fold needs them fast."""
    scales: tuple[Scale, ...] = field(compare=False, repr=False)
    coverages: dict[float, float] = field(default_factory=dict, compare=False, repr=False)
    """Rounded coverages by weight with data, cached: only few sums occur, and rounding is slow."""
    moved: dict[frozenset[MeasureSignal], list[tuple[int, Measure]]] = field(
        default_factory=dict, compare=False, repr=False
    )
    """Measures that read one of some signals, with their places, cached by these signals."""

    def moved_by(self, signals: frozenset[MeasureSignal]) -> list[tuple[int, Measure]]:
        """The measures that news of these signals can move, with their places."""
        found = self.moved.get(signals)
        if found is None:
            found = [(place, each.measure) for place, each in enumerate(self.measures) if each.signals & signals]
            self.moved[signals] = found
        return found

    def scores_like(self, other: "Scorecard") -> bool:
        """True for the same version, and for one that differs in its calibration alone: both give the same accounts the
        same scores.
        """
        return self is other or self.document.scores_like(other.document)


class Evaluation(Struct, frozen=True, gc=False):
    """A score at a day, by a scorecard. `score` is null below the minimum coverage.

    `readings` holds the value of each of the scorecard's measures, in its order; everything else follows from them.
    """

    score: float | None
    band: Band
    coverage: float
    day: int
    card: Scorecard
    readings: list[Value]

    @property
    def measures(self) -> dict[str, MeasureResult]:
        """The results of `explain`."""
        return explain(self)


_ABSENT = {"exclude": None, "neutral": NEUTRAL, "worst": 0.0}


def compile_scorecard(document: ScorecardDocument, version: int) -> Scorecard:
    """Compile a checked document so that it can evaluate states."""
    measures = tuple(
        CompiledMeasure(
            name=entry.title,
            measure=CATALOGUE[entry.measure].build(
                Parameters(
                    entry.window or 1,
                    frozenset(entry.features) if entry.features else None,
                    frozenset(entry.priorities) if entry.priorities else None,
                    entry.min_n or 1,
                )
            ),
            signals=CATALOGUE[entry.measure].signals,
            weight=entry.weight,
            curve=compile_curve(entry.curve),
            absent=entry.missing.score if isinstance(entry.missing, MissingScore) else _ABSENT[entry.missing],
            veto_below=entry.veto.below - 10.0**-DECIMALS if entry.veto else -1.0,
            veto_cap=entry.veto.cap if entry.veto else NO_CAP,
        )
        for entry in document.measures
    )
    return Scorecard(
        name=document.name,
        version=version,
        document=document,
        measures=measures,
        weight=sum(measure.weight for measure in measures),
        yellow=document.bands.yellow,
        green=document.bands.green,
        min_coverage=document.min_coverage,
        names=tuple(entry.name for entry in measures),
        readers=tuple(entry.measure for entry in measures),
        scales=tuple(
            Scale(entry.weight, entry.curve, entry.absent, entry.veto_below, entry.veto_cap) for entry in measures
        ),
    )


def evaluate(card: Scorecard, state: AccountState, day: int) -> Evaluation:
    """The score of `state` at `day`, which must not be before the state's newest broker day."""
    return score(read(card, state, day), card, day)


def read(card: Scorecard, state: AccountState, day: int) -> list[Value]:
    """The readings of the scorecard's measures, in its order."""
    return [reader(state, day) for reader in card.readers]


def read_again(
    card: Scorecard, state: AccountState, day: int, readings: list[Value], signals: frozenset[MeasureSignal]
) -> None:
    """Bring the scorecard's readings of an earlier state at the same day up to date, in place.

    Only `signals` may have changed since, so measures that read none of them are kept.
    """
    for place, measure in card.moved_by(signals):
        readings[place] = measure(state, day)


def score(readings: list[Value], card: Scorecard, day: int) -> Evaluation:
    """The evaluation of the measures' readings; `readings` are in the scorecard's order."""
    known = counted = weighted = 0.0
    cap = NO_CAP
    for scale, value in zip(card.scales, readings, strict=True):
        with_data, counts, points, limit = scale[value]
        known += with_data
        counted += counts
        weighted += points
        if limit < cap:
            cap = limit
    coverage = card.coverages.get(known)
    if coverage is None:
        coverage = card.coverages[known] = min(rounded(known / card.weight), 1.0)
    if counted == 0.0 or coverage < card.min_coverage:
        return Evaluation(None, "unknown", coverage, day, card, readings)
    total = rounded(weighted / counted)
    if total > cap:
        total = cap
    return Evaluation(total, band_of(total, card.yellow, card.green), coverage, day, card, readings)


def explain(evaluation: Evaluation) -> dict[str, MeasureResult]:
    """The result of each measure. Contributions sum to the score; there are none where the score is null.

    A veto that caps the score comes last.
    """
    entries = evaluation.card.measures
    scores = [entry.score(value) for entry, value in zip(entries, evaluation.readings, strict=True)]
    counted = sum([entry.weight for entry, points in zip(entries, scores, strict=True) if points is not None])
    known = evaluation.score is not None
    veto: CompiledMeasure | None = None
    results: dict[str, MeasureResult] = {}
    for entry, value, points in zip(entries, evaluation.readings, scores, strict=True):
        contribution = entry.weight * points / counted if known and points is not None else None
        if isinstance(value, Missing):
            results[entry.name] = MeasureResult(None, points, contribution, value.value)
            continue
        results[entry.name] = MeasureResult(value, points, contribution)
        if points is not None and points < entry.veto_below and (veto is None or entry.veto_cap < veto.veto_cap):
            veto = entry  # the lowest cap, the first of several
    if known and veto is not None:
        uncapped = min(max(rounded(sum([result.contribution or 0.0 for result in results.values()])), 0), 100)
        if uncapped > veto.veto_cap:
            results[VETO + veto.name] = MeasureResult(None, None, veto.veto_cap - uncapped)
    return results


def rounded(number: float) -> float:
    """Round to `DECIMALS`, in a quarter of the time of `round`, which goes through decimal digits."""
    return round(number * _PARTS) / _PARTS


def band_of(score: float, yellow: float, green: float) -> Band:
    """The band of a score, given the lowest scores of yellow and green."""
    if score >= green:
        return "green"
    return "yellow" if score >= yellow else "red"

"""Scorecards at work: what they make of an account's state.

With weight w and score s of the measures that count, score = sum(w s) / sum(w); each contributes w s / sum(w), so the
contributions sum to the score. A veto that caps the score is a negative contribution of its own.
"""

from dataclasses import dataclass, field
from typing import Literal

from msgspec import Struct

from scoring.scorecards.curve import Curve, compile_curve
from scoring.scorecards.document import ScorecardDocument
from scoring.scorecards.measures import CATALOGUE, Measure, Missing, Parameters, Value
from scoring.state.account_state import AccountState

Band = Literal["green", "yellow", "red", "unknown"]
NEUTRAL = 50.0
DECIMALS = 9
"""Scores and coverages are rounded to these, so that what is 70 on paper doesn't come out a hair below 70."""
_PARTS = 10.0**DECIMALS
VETO = "veto:"
"""Prefix of the entry that a veto adds to the measures."""


class MeasureResult(Struct, frozen=True, array_like=True, gc=False):
    """What one measure came to. `score` and `contribution` are null where the measure doesn't count."""

    value: float | None
    score: float | None
    contribution: float | None
    missing: str | None = None


@dataclass(frozen=True, slots=True)
class CompiledMeasure:
    """A scorecard's measure, ready to run. `absent` is the score that a missing value counts as; None excludes it."""

    name: str
    measure: Measure
    weight: float
    curve: Curve
    absent: float | None
    veto_below: float
    veto_cap: float

    def score(self, value: Value) -> float | None:
        """What `value` scores, 0 to 100; None where it doesn't count."""
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
    """Of the measures."""
    readers: tuple[Measure, ...]
    """The measures alone, and below what makes a score of what they read: laid out flat for the fold."""
    scales: tuple[tuple[float, Curve, float | None, float, float], ...]
    """Per measure its weight, curve, score if missing, and veto: below which score, and to which cap."""
    coverages: dict[float, float] = field(default_factory=dict, compare=False, repr=False)
    """Of weights with data, as they come up: few of all that are possible do, and rounding takes its time."""


class Evaluation(Struct, frozen=True):
    """A score at a day, by a scorecard. `score` is null below the minimum coverage.

    `readings` holds what each of the scorecard's measures read, in its order; all the rest follows from them.
    """

    score: float | None
    band: Band
    coverage: float
    day: int
    card: Scorecard
    readings: list[Value]

    @property
    def measures(self) -> dict[str, MeasureResult]:
        """As `explain`."""
        return explain(self)


_ABSENT = {"exclude": None, "neutral": NEUTRAL, "worst": 0.0}


def compile_scorecard(document: ScorecardDocument, version: int) -> Scorecard:
    """Make a checked document ready to evaluate."""
    measures = tuple(
        CompiledMeasure(
            name=entry.title,
            measure=CATALOGUE[entry.measure].build(
                Parameters(
                    entry.window or 1,
                    frozenset(entry.features) if entry.features else None,
                    frozenset(entry.priorities) if entry.priorities else None,
                )
            ),
            weight=entry.weight,
            curve=compile_curve(entry.curve),
            absent=_ABSENT[entry.missing],
            veto_below=entry.veto.below - 10.0**-DECIMALS if entry.veto else -1.0,
            veto_cap=entry.veto.cap if entry.veto else 100.0,
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
        scales=tuple((entry.weight, entry.curve, entry.absent, entry.veto_below, entry.veto_cap) for entry in measures),
    )


def evaluate(card: Scorecard, state: AccountState, day: int) -> Evaluation:
    """The score of `state` at `day`, which must not be before the state's newest broker day."""
    return score(read(card, state, day), card, day)


def read(card: Scorecard, state: AccountState, day: int) -> list[Value]:
    """What the scorecard's measures read, in its order."""
    return [reader(state, day) for reader in card.readers]


def score(readings: list[Value], card: Scorecard, day: int) -> Evaluation:
    """The score that the measures' readings make; `readings` are in the scorecard's order."""
    known = counted = weighted = 0.0
    cap = 100.0
    for (weight, curve, absent, veto_below, veto_cap), value in zip(card.scales, readings, strict=True):
        # Not isinstance, which takes twice as long for an enumeration: this runs for each measure of each batch.
        if value.__class__ is Missing:
            if absent is None:
                continue
            points = absent
        else:
            points = curve(value)  # type: ignore[arg-type] # which mypy does not follow through __class__
            known += weight
            if points < veto_below and veto_cap < cap:
                cap = veto_cap
        counted += weight
        weighted += weight * points
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
    """What each measure came to. Contributions sum to the score; there are none where the score is null.

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
    """To `DECIMALS`, in a quarter of the time that `round` takes for going by way of decimal digits."""
    return round(number * _PARTS) / _PARTS


def band_of(score: float, yellow: float, green: float) -> Band:
    """The band of a score, given the lowest scores of yellow and green."""
    if score >= green:
        return "green"
    return "yellow" if score >= yellow else "red"

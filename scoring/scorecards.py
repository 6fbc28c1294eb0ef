"""Scorecards at work: choose the one for an account and evaluate it.

With weight w and score s of the measures that count, score = sum(w s) / sum(w); each contributes w s / sum(w), so the
contributions sum to the score. A veto that caps the score is a negative contribution of its own.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from msgspec import Struct

from scoring.curves import Curve, compile_curve
from scoring.documents import DEFAULT, AppliesTo, ScorecardDocument
from scoring.measures import CATALOGUE, Measure, Missing, Parameters
from scoring.state import AccountState

Band = Literal["green", "yellow", "red", "unknown"]
NEUTRAL = 50.0
DECIMALS = 9
"""Scores and coverages are rounded to these, so that what is 70 on paper doesn't come out a hair below 70."""
VETO = "veto:"
"""Prefix of the entry that a veto adds to the measures."""


class MeasureResult(Struct, frozen=True, array_like=True, gc=False):
    """What one measure came to. `score` and `contribution` are null where the measure doesn't count."""

    value: float | None
    score: float | None
    contribution: float | None
    missing: str | None = None


class Evaluation(Struct, frozen=True):
    """A score at a day, with all that it is made of. `score` is null below the minimum coverage."""

    score: float | None
    band: Band
    coverage: float
    day: int
    scorecard: str
    version: int
    measures: dict[str, MeasureResult]


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
    )


def evaluate(scorecard: Scorecard, state: AccountState, day: int) -> Evaluation:
    """The score of `state` at `day`, which must not be before the state's newest broker day."""
    rows = []
    counted = 0.0
    known = 0.0
    for entry in scorecard.measures:
        value = entry.measure(state, day)
        if isinstance(value, Missing):
            score = entry.absent
        else:
            score = entry.curve(value)
            known += entry.weight
        if score is not None:
            counted += entry.weight
        rows.append((entry, value, score))
    coverage = min(round(known / scorecard.weight, DECIMALS), 1.0)
    if counted == 0.0 or coverage < scorecard.min_coverage:
        return _unknown(scorecard, rows, coverage, day)
    return _known(scorecard, rows, counted, coverage, day)


Row = tuple[CompiledMeasure, "float | Missing", float | None]


def _result(value: float | Missing, score: float | None, contribution: float | None) -> MeasureResult:
    if isinstance(value, Missing):
        return MeasureResult(None, score, contribution, str(value))
    return MeasureResult(value, score, contribution)


def _unknown(scorecard: Scorecard, rows: list[Row], coverage: float, day: int) -> Evaluation:
    measures = {entry.name: _result(value, score, None) for entry, value, score in rows}
    return Evaluation(None, "unknown", coverage, day, scorecard.name, scorecard.version, measures)


def _known(scorecard: Scorecard, rows: list[Row], counted: float, coverage: float, day: int) -> Evaluation:
    measures: dict[str, MeasureResult] = {}
    total = 0.0
    cap, capped_by = 100.0, ""
    for entry, value, score in rows:
        contribution = None
        if score is not None:
            contribution = entry.weight * score / counted
            total += contribution
        missing = value.__class__ is Missing
        measures[entry.name] = _result(value, score, contribution)
        if not missing and score is not None and score < entry.veto_below and entry.veto_cap < cap:
            cap, capped_by = entry.veto_cap, entry.name
    total = min(max(round(total, DECIMALS), 0.0), 100.0)
    if capped_by and total > cap:
        measures[VETO + capped_by] = MeasureResult(None, None, cap - total)
        total = cap
    band = band_of(total, scorecard.yellow, scorecard.green)
    return Evaluation(total, band, coverage, day, scorecard.name, scorecard.version, measures)


def band_of(score: float, yellow: float, green: float) -> Band:
    """The band of a score, given the lowest scores of yellow and green."""
    if score >= green:
        return "green"
    return "yellow" if score >= yellow else "red"


def choose(scorecards: Sequence[Scorecard], state: AccountState, day: int) -> Scorecard:
    """The scorecard for an account: the first in rank order that applies, else the default.

    `scorecards` is what `in_order` gave.
    """
    for scorecard in scorecards:
        applies_to = scorecard.document.applies_to
        if applies_to is None or _applies(applies_to, state, day):
            return scorecard
    raise AssertionError("in_order guarantees a default")


def in_order(scorecards: Iterable[Scorecard]) -> tuple[Scorecard, ...]:
    """Scorecards by rank and name, the default last. Raises ValueError if there is no default."""
    ranked = sorted(
        scorecards,
        key=lambda card: (card.document.applies_to is None, getattr(card.document.applies_to, "rank", 0), card.name),
    )
    if not ranked or ranked[-1].name != DEFAULT:
        raise ValueError("there is no scorecard named default")
    return tuple(ranked)


_tenure = CATALOGUE["tenure_days"].build(Parameters())


def _applies(applies_to: AppliesTo, state: AccountState, day: int) -> bool:
    value = state.attributes.value
    if applies_to.segments is not None and value("segment") not in applies_to.segments:
        return False
    if applies_to.stages is not None and value("stage") not in applies_to.stages:
        return False
    if applies_to.tenure_days is None:
        return True
    tenure = _tenure(state, day)
    first, last = applies_to.tenure_days
    return not isinstance(tenure, Missing) and first <= tenure <= last

"""An account's health as it is answered: the score and all its parts. Pure, and encoded by msgspec: it is the most
frequent answer of the API.
"""

from collections.abc import Mapping
from datetime import date, datetime

from msgspec import Struct

from scoring.scorecards.calibration import churn_probability
from scoring.scorecards.document import MeasureDocument
from scoring.scorecards.drivers import Driver, shortfalls
from scoring.scorecards.override import Override
from scoring.scorecards.scorecard import DECIMALS, VETO, Band, MeasureResult, Scorecard
from scoring.state.calendar import from_day, from_micros
from service.evaluation.current_health import CurrentHealth
from service.storage.accounts.score_reader import FiringAlert, Freshness


class ScorecardName(Struct, frozen=True, gc=False):
    """The published scorecard that made the score."""

    name: str
    version: int


class Trend(Struct, frozen=True, gc=False):
    """The points by which the score moved in 7 and 30 days; null if one of the two scores isn't known."""

    d7: float | None = None
    d30: float | None = None


class MeasureReading(Struct, frozen=True, gc=False):
    """A measure's value and score; null where it doesn't apply. Contributions sum to the score.

    A veto that caps the score is an entry of its own, `veto:` and the measure's name, with a negative contribution.
    `missing` gives the reason why there is no value.
    """

    name: str
    measure: str
    window: int | None
    value: float | None
    score: float | None
    weight: float
    contribution: float | None
    missing: str | None


class OverrideShown(Struct, frozen=True):
    """A score or a band set by hand, beside the computed one. Without `expires_at` it stays until it is deleted."""

    score: float | None
    band: Band | None
    reason: str
    author: str
    set_at: datetime
    expires_at: datetime | None


class Health(Struct, frozen=True):
    """The health of an account on a day. Below the scorecard's minimum coverage the score is null, the band unknown.

    `drivers` are the measures that keep the score furthest below 100, in points. `values_of` is the day on which the
    measures' values were read: later than `day` if the days between scored the same. A past day has no alerts.

    `churn_probability` is what the scorecard's calibration gives for `score`, the computed one, whatever the override:
    of churn at the next renewal, or within the calibration's `horizon_days`. Null without a calibration or a score.
    """

    account_id: str
    score: float | None
    churn_probability: float | None
    band: Band
    coverage: float
    day: date
    evaluated_at: datetime
    scorecard: ScorecardName
    trend: Trend
    override: OverrideShown | None
    drivers: list[Driver]
    measures: list[MeasureReading]
    values_of: date
    alerts: list[FiringAlert]
    freshness: Freshness


def document(health: CurrentHealth) -> Health:
    """An account's health in the form of the answer."""
    evaluation = health.evaluation
    card = evaluation.card
    results = evaluation.measures
    score = evaluation.score
    return Health(
        account_id=health.account_id,
        score=score,
        churn_probability=churn_probability(card.document.calibration, score),
        band=evaluation.band,
        coverage=evaluation.coverage,
        day=from_day(health.day),
        evaluated_at=health.evaluated_at,
        scorecard=ScorecardName(card.name, card.version),
        trend=Trend(_since(score, health.week_ago), _since(score, health.month_ago)),
        override=show_override(health.override),
        drivers=shortfalls(results, card),
        measures=_readings(card, results),
        values_of=from_day(evaluation.day),
        alerts=list(health.firing),
        freshness=health.freshness,
    )


def show_override(override: Override | None) -> OverrideShown | None:
    """An override in the form of the answer."""
    if override is None:
        return None
    return OverrideShown(
        override.score,
        override.band,
        override.reason,
        override.author,
        from_micros(override.set_at),
        None if override.expires_at is None else from_micros(override.expires_at),
    )


def _since(score: float | None, before: float | None) -> float | None:
    return None if score is None or before is None else round(score - before, DECIMALS)


def _readings(card: Scorecard, results: Mapping[str, MeasureResult]) -> list[MeasureReading]:
    """In the scorecard's order, with a veto last, as in `results`."""
    entries = dict(zip(card.names, card.document.measures, strict=True))
    return [
        _reading(name, entry, entry.weight, result)
        if (entry := entries.get(name))
        else _reading(name, entries[name.removeprefix(VETO)], 0.0, result)
        for name, result in results.items()
    ]


def _reading(name: str, entry: MeasureDocument, weight: float, result: MeasureResult) -> MeasureReading:
    return MeasureReading(
        name, entry.measure, entry.window, result.value, result.score, weight, result.contribution, result.missing
    )

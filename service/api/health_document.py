"""An account's health as it is answered: the score and all that it is made of. Pure, and encoded by msgspec: the
console and the CRM ask for it more often than for anything else.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from msgspec import Struct

from scoring.documents import MeasureDocument
from scoring.scorecards import VETO, Band, Evaluation, MeasureResult
from scoring.windows import from_day
from service.storage.score_reads import StoredScore


class ScorecardName(Struct, frozen=True):
    """Which published scorecard made the score."""

    name: str
    version: int


class Trend(Struct, frozen=True):
    """By how many points the score moved in 7 and 30 days. Always null in this version, which keeps no history."""

    d7: float | None = None
    d30: float | None = None


class MeasureReading(Struct, frozen=True):
    """What one measure came to; null where it doesn't apply. Contributions sum to the score.

    A veto that caps the score is an entry of its own, `veto:` and the measure's name, with a negative contribution.
    `missing` says why there is no value.
    """

    name: str
    measure: str
    window: int | None
    value: float | None
    score: float | None
    weight: float
    contribution: float | None
    missing: str | None


class FiringAlert(Struct, frozen=True):
    """An alert that fires now. `created_at` is since when."""

    id: UUID
    rule_id: UUID | None
    rule: str
    type: str
    sequence: int
    created_at: datetime


class Freshness(Struct, frozen=True):
    """The time of the newest event of each kind; null if there was none."""

    usage: datetime | None
    ticket: datetime | None
    survey: datetime | None


class Health(Struct, frozen=True):
    """The health of an account at a day. Below the scorecard's minimum coverage the score is null, the band unknown."""

    account_id: str
    score: float | None
    band: Band
    coverage: float
    day: date
    evaluated_at: datetime
    scorecard: ScorecardName
    trend: Trend
    override: None
    measures: list[MeasureReading]
    alerts: list[FiringAlert]
    freshness: Freshness


def document(
    stored: StoredScore,
    evaluation: Evaluation,
    evaluated_at: datetime,
    firing: Sequence[Mapping[str, Any]],
) -> Health:
    """The answer for an evaluation; `stored` is the account's row, of that day or before."""
    card = evaluation.card
    entries = {entry.title: entry for entry in card.document.measures}
    return Health(
        account_id=stored.account_id,
        score=evaluation.score,
        band=evaluation.band,
        coverage=evaluation.coverage,
        day=from_day(evaluation.day),
        evaluated_at=evaluated_at,
        scorecard=ScorecardName(card.name, card.version),
        trend=Trend(),
        override=None,
        measures=[_reading(name, result, entries) for name, result in evaluation.measures.items()],
        alerts=[FiringAlert(*(alert[name] for name in FiringAlert.__struct_fields__)) for alert in firing],
        freshness=Freshness(stored.usage_at, stored.ticket_at, stored.survey_at),
    )


def _reading(name: str, result: MeasureResult, entries: Mapping[str, MeasureDocument]) -> MeasureReading:
    entry = entries[name.removeprefix(VETO)]
    return MeasureReading(
        name=name,
        measure=entry.measure,
        window=entry.window,
        value=result.value,
        score=result.score,
        weight=0.0 if name.startswith(VETO) else entry.weight,
        contribution=result.contribution,
        missing=result.missing,
    )

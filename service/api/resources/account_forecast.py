"""GET /v1/accounts/{id}/health/forecast: an account's score if it stays silent."""

from collections.abc import Sequence
from datetime import date
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel

from scoring.rules.conditions import Condition
from scoring.scorecards.scorecard import Band, Evaluation
from scoring.state.calendar import from_day, to_micros
from scoring.whatif.forecast import PredictedCrossing, forecast
from service.api.access.auth import READ
from service.api.access.deps import Api
from service.api.http.account_paths import AccountId
from service.api.http.problems import not_found
from service.evaluation.forecast import situations

router = APIRouter(prefix="/v1/accounts", tags=["accounts"])


class ScorecardUsed(BaseModel):
    """The scorecard that scores an account on a day."""

    name: str
    version: int


class ForecastDay(BaseModel):
    """An account's forecast score on a day."""

    day: date
    score: float | None
    band: Band
    coverage: float
    scorecard: ScorecardUsed


class ForecastCrossing(BaseModel):
    """The day on which a rule would begin to fire, or stop firing; and the account's score then."""

    rule: str
    rule_id: str
    kind: Literal["score", "drop", "band", "silence"]
    state: Literal["firing", "resolved"]
    day: date
    score: float | None


class AccountForecast(BaseModel):
    """An account on each of the days after `day`, which is today, if nothing happens; and each rule's first crossing.

    Scores are as computed. An override isn't in them, but rules see it until it expires, as they do now.
    """

    account_id: str
    day: date
    items: Sequence[ForecastDay]
    crossings: Sequence[ForecastCrossing]


@router.get(
    "/{account_id:account}/health/forecast", summary="Forecast an account's score in silence", dependencies=READ
)
async def read_forecast(
    account_id: AccountId,
    api: Api,
    days: Annotated[int, Query(ge=1, le=365, description="How many days to look ahead.")] = 90,
) -> AccountForecast:
    """The score on each of the coming days if no event arrives, and the first day on which each alert rule would begin
    to fire, or stop if it fires now.

    Computed from the account as it is now. Dwell, cooldown and snooze count, and so does a scorecard that takes over
    with tenure. While the source of an account's usage is quiet, nothing begins to fire.
    """
    now = to_micros(api.clock())
    async with api.reads.connect() as connection:
        policy = await api.policies.recent(connection)
        found = await situations(connection, [account_id], policy)
    if account_id not in found:
        raise not_found("account")
    foretold = forecast(found[account_id], policy, now, days)
    return AccountForecast(
        account_id=account_id,
        day=from_day(foretold.now.day),
        items=[_day(evaluation) for evaluation in foretold.days],
        crossings=[_crossing(crossing) for crossing in foretold.crossings],
    )


def _day(evaluation: Evaluation) -> ForecastDay:
    card = evaluation.card
    return ForecastDay(
        day=from_day(evaluation.day),
        score=evaluation.score,
        band=evaluation.band,
        coverage=evaluation.coverage,
        scorecard=ScorecardUsed(name=card.name, version=card.version),
    )


def _crossing(crossing: PredictedCrossing) -> ForecastCrossing:
    then = crossing.evaluation
    return ForecastCrossing.model_validate(
        {
            "rule": crossing.rule.name,
            "rule_id": crossing.rule.id,
            "kind": _kind(crossing.rule.condition),
            "state": crossing.state,
            "day": from_day(then.day),
            "score": then.score,
        }
    )


def _kind(condition: Condition) -> object:
    return condition.__struct_config__.tag

"""GET /v1/forecasts: the accounts that will soon cross a threshold if they stay silent."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from scoring.rules.policy import Policy
from scoring.scorecards.scorecard import Band
from scoring.state.calendar import from_day
from service.api.access.auth import READ
from service.api.access.deps import Api
from service.api.http.account_filters import AccountFilters
from service.api.http.account_paths import Printable
from service.api.http.pagination import TokenText, encode_token
from service.api.http.problems import FieldError, invalid
from service.evaluation import upcoming_crossings
from service.evaluation.upcoming_crossings import UpcomingAccount
from service.storage.accounts.forecasts import UpcomingFilter

router = APIRouter(prefix="/v1/forecasts", tags=["accounts"])

_Key = tuple[date, TokenText, UUID]


class UpcomingCrossing(BaseModel):
    """An account for which a rule will begin to fire on a day. `score` and `band` are today's."""

    account_id: str
    name: str | None
    segment: str | None
    stage: str | None
    owner: str | None
    score: float | None
    band: Band
    rule: str
    rule_id: str
    day: date
    score_then: float | None


class ForecastPage(BaseModel):
    """A page of forecasts. The oldest of them was made at `as_of`; null if there are none.

    A page can be short, or empty, and others follow: only a `next_page_token` of null ends the list.
    """

    items: Sequence[UpcomingCrossing]
    next_page_token: str | None
    as_of: datetime | None


class ForecastQuery(AccountFilters):
    """Filters of forecasts. A filter of accounts may be repeated; one of its values has to match."""

    days: int = Field(14, ge=1, le=365, description="How many days to look ahead: HEALTH_FORECAST_DAYS at most.")
    rule: Annotated[str, Printable()] | None = Field(None, max_length=200, description="A rule's id, or its name.")

    def filter(self, policy: Policy, today: date) -> UpcomingFilter:
        """The filter for storage."""
        rules = [UUID(rule.id) for rule in policy.rules if self.rule in (None, rule.id, rule.name)]
        accounts = self.of_accounts(today, churned=False)
        return UpcomingFilter(rules=rules, first=today, last=today + timedelta(days=self.days), accounts=accounts)


@router.get("", summary="List the alerts that silence will cause", dependencies=READ)
async def list_forecasts(query: Annotated[ForecastQuery, Query()], api: Api) -> ForecastPage:
    """The accounts for which a rule that doesn't fire now will begin to fire within `days` days if they stay silent:
    by day, then by account.

    Accounts are forecast in turn, again and again; `as_of` gives the age of the list. Its entries are true now: each
    forecast is recomputed before it is shown, and left out if the account has had events since and won't cross. A
    crossing that has moved to another day is shown with that day, on the page where it was.
    """
    if query.days > api.settings.forecast_days:
        raise invalid(FieldError("days", f"must be at most {api.settings.forecast_days}, as HEALTH_FORECAST_DAYS says"))
    after, now = query.start(_Key), api.clock()
    async with api.reads.connect() as connection:
        policy = await api.policies.recent(connection)
        wanted = query.filter(policy, now.date())
        page = await upcoming_crossings.page(connection, wanted, policy, now, after=after, size=query.page_size)
    return ForecastPage(
        items=[_shown(item) for item in page.items],
        next_page_token=None if page.after is None else encode_token(page.after),
        as_of=page.as_of,
    )


def _shown(item: UpcomingAccount) -> UpcomingCrossing:
    then, value = item.crossing.evaluation, item.attributes.value
    return UpcomingCrossing.model_validate(
        {
            "account_id": item.account_id,
            **{name: value(name) for name in ("name", "segment", "stage", "owner")},
            "score": item.now.score,
            "band": item.now.band,
            "rule": item.crossing.rule.name,
            "rule_id": item.crossing.rule.id,
            "day": from_day(then.day),
            "score_then": then.score,
        }
    )

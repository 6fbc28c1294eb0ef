"""An account as it is answered: its attributes, its stored score, and the probability of churn at that. Pure."""

from datetime import date, datetime
from decimal import Decimal
from operator import attrgetter
from typing import Annotated

from msgspec import Struct
from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

from scoring.rules.policy import Policy
from scoring.scorecards.scorecard import Band
from service.storage.accounts.accounts import AccountRecord


class Account(BaseModel):
    """An account's attributes, and its score as last stored: the route `health` has the current one."""

    model_config = ConfigDict(from_attributes=True)

    account_id: str
    name: str | None
    segment: str | None
    stage: str | None
    owner: str | None
    seats: int | None
    arr: Annotated[Decimal, PlainSerializer(float, float)] | None
    started_on: date | None
    renews_on: date | None
    churned_on: date | None
    parent_id: str | None
    created_at: datetime
    score: float | None
    churn_probability: float | None = Field(
        description="Of churn at the next renewal, or within the `horizon_days` of the scorecard's calibration, at "
        "this score. Null without a calibration or a score."
    )
    band: Band
    coverage: float
    day: date | None = Field(description="The day the score is of; null until first evaluated.")
    evaluated_at: datetime | None
    changed_at: datetime = Field(
        description="When the score last changed, by at least a tenth of a point or in its band; or when the account "
        "was created. Scores are evaluated far more often."
    )


class ListedAccount(Struct, frozen=True, gc=False):
    """The same, for lists: msgspec encodes a page of a thousand in a few milliseconds."""

    account_id: str
    name: str | None
    segment: str | None
    stage: str | None
    owner: str | None
    seats: int | None
    arr: Decimal | None
    started_on: date | None
    renews_on: date | None
    churned_on: date | None
    parent_id: str | None
    created_at: datetime
    score: float | None
    band: str
    coverage: float
    day: date | None
    evaluated_at: datetime | None
    changed_at: datetime
    churn_probability: float | None


_stored = attrgetter(*ListedAccount.__struct_fields__[:-1])


def listed(account: AccountRecord, policy: Policy) -> ListedAccount:
    """An account in the form of a list, given the policy in force."""
    probability = policy.churn_probability(account.scorecard, account.scorecard_version, account.score)
    return ListedAccount(*(*_stored(account), probability))


def shown(account: AccountRecord, policy: Policy) -> Account:
    """An account in the form of the answer."""
    return Account.model_validate(listed(account, policy))

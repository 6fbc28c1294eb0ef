"""/v1/reevaluations: the progress of re-evaluating all accounts after a scorecard or a rule changed."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from msgspec import Meta
from pydantic import BaseModel, ConfigDict, Field

from service.api.access.auth import READ
from service.api.access.deps import Api
from service.api.http.pagination import PageQuery
from service.api.http.problems import not_found
from service.storage.policy import reevaluations

router = APIRouter(prefix="/v1/reevaluations", tags=["scorecards"])

_Position = tuple[Annotated[datetime, Meta(tz=True)], UUID]


class Reevaluation(BaseModel):
    """The re-evaluation of all accounts after a scorecard was published or a rule changed."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    cause: Literal["scorecard", "rule"]
    subject: str = Field(description="The scorecard or rule that has changed.")
    total: int = Field(description="The number of accounts to re-evaluate.")
    done: int = Field(description="The number of accounts re-evaluated so far.")
    started_at: datetime
    finished_at: datetime | None = Field(
        description="Null while it is under way. If `done` is less than `total`, a later one replaced it."
    )
    digest_id: UUID | None = Field(description="The digest of its alerts: for `digest` of GET /v1/alerts.")


class ReevaluationPage(BaseModel):
    """A page of re-evaluations."""

    items: Sequence[Reevaluation]
    next_page_token: str | None


@router.get("", summary="List re-evaluations", dependencies=READ)
async def list_reevaluations(query: Annotated[PageQuery, Query()], api: Api) -> ReevaluationPage:
    """Re-evaluations, newest first."""
    async with api.reads.connect() as connection:
        rows = await reevaluations.newest(connection, query.limit, query.start(_Position))
    items, token = query.cut(rows, lambda row: (row.started_at, row.id))
    return ReevaluationPage(items=[Reevaluation.model_validate(row) for row in items], next_page_token=token)


@router.get("/{reevaluation_id}", summary="One re-evaluation", dependencies=READ)
async def read_reevaluation(reevaluation_id: UUID, api: Api) -> Reevaluation:
    """A re-evaluation with its progress."""
    async with api.reads.connect() as connection:
        found = await reevaluations.get(connection, reevaluation_id)
    if found is None:
        raise not_found("re-evaluation")
    return Reevaluation.model_validate(found)

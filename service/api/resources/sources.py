"""/v1/sources: the senders of usage events, the number of their accounts, and those that have gone quiet."""

from collections.abc import Sequence
from datetime import UTC, date, datetime

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from service.api.access.auth import READ
from service.api.access.deps import Api
from service.evaluation.sources import listing

router = APIRouter(prefix="/v1/sources", tags=["operations"])


class DayOfSource(BaseModel):
    """The number of accounts that a source reported on a day."""

    model_config = ConfigDict(from_attributes=True)

    day: date
    accounts: int


class SourceOutage(BaseModel):
    """A period in which a source was quiet; `ended_at` is null while it is."""

    model_config = ConfigDict(from_attributes=True)

    began_on: date
    noticed_at: datetime
    ended_at: datetime | None


class UsageSource(BaseModel):
    """A source of usage events. While it is quiet, time alone fires no alert for accounts whose last usage it sent."""

    model_config = ConfigDict(from_attributes=True)

    name: str = Field(description="`source` of its events.")
    is_quiet: bool = Field(validation_alias="is_silent")
    days: Sequence[DayOfSource] = Field(description="The ended days of the last four weeks, newest first.")
    outages: Sequence[SourceOutage]


class SourcePage(BaseModel):
    """Sources; all of them."""

    items: Sequence[UsageSource]
    next_page_token: None = None


@router.get("", summary="List sources of usage", dependencies=READ)
async def list_sources(api: Api) -> SourcePage:
    """The sources that recently had at least ten accounts, with the number of accounts they reported each day."""
    async with api.reads.connect() as connection:
        found = await listing(connection, api.clock().astimezone(UTC).date())
    return SourcePage(items=[UsageSource.model_validate(source) for source in found])

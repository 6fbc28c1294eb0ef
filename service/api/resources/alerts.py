"""/v1/alerts: alerts and digests, for people to read and programs to poll."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from msgspec import Meta
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from service.api.access.auth import READ
from service.api.access.deps import Api
from service.api.http.account_paths import LONGEST_ACCOUNT_ID, Printable
from service.api.http.pagination import PageQuery, TokenNumber, decode_token, encode_token
from service.api.http.problems import FieldError, invalid
from service.storage.alerts import listing
from service.storage.alerts.listing import BEGINNING, AlertFilter, AlertMark

router = APIRouter(prefix="/v1/alerts", tags=["alerts"])

_Position = tuple[Annotated[datetime, Meta(tz=True)], UUID]
_Mark = tuple[TokenNumber, UUID]

State = Literal["firing", "resolved", "digest"]


class Alert(BaseModel):
    """A rule began or stopped firing for an account, or a digest of such alerts. `data` is what webhooks send; if
    HEALTH_ACCOUNT_URL is set, links to accounts are its `url`.

    Quiet ones are summed up in the digest `digest_id`: individually they are sent to CRMs alone, and to others where
    they end an alert that was sent individually. In an alert about many accounts `account_id` and `sequence` are null,
    as they are in the end of an alert of an account that was erased.
    """

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    account_id: str | None
    sequence: int | None
    rule_id: UUID | None
    rule: str
    type: str
    state: State
    quiet: bool
    data: dict[str, Any]
    created_at: datetime
    digest_id: UUID | None = Field(description="The digest that sums it up.")
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    snoozed_until: datetime | None = Field(description="Before then its rule doesn't begin to fire again.")


class AlertPage(BaseModel):
    """A page of alerts. Pass `next_after` as `after` to read the alerts written since."""

    items: Sequence[Alert]
    next_page_token: str | None
    next_after: str


class AlertQuery(PageQuery):
    """Filters of alerts."""

    account_id: Annotated[str, Printable()] | None = Field(None, max_length=LONGEST_ACCOUNT_ID)
    rule: Annotated[str, Printable()] | None = Field(
        None, max_length=200, description="A rule's id, or its name at the time."
    )
    state: State | None = None
    digest: UUID | None = Field(None, description="Alerts that this digest sums up.")
    after: str | None = Field(
        None,
        description="The `next_after` of an earlier answer, or nothing for the beginning: alerts come oldest first, "
        "and each exactly once if every answer's `next_after` is passed on.",
    )

    def filter(self) -> AlertFilter:
        """The filter for storage."""
        return AlertFilter(account_id=self.account_id, rule=self.rule, state=self.state, digest=self.digest)


@router.get("", summary="List or poll alerts", dependencies=READ)
async def list_alerts(query: Annotated[AlertQuery, Query()], api: Api) -> AlertPage:
    """Newest first, page by page; or, with `after`, oldest first from there on.

    To poll, pass the `next_after` of each answer as the next `after`. An alert appears there once all transactions that
    began to write before its own are over, so none that commits later is missed.
    """
    async with api.reads.connect() as connection:
        settled, begun = await listing.settled_marks(connection)
        if query.after is not None:
            return await _poll(connection, query, _mark(query.after, begun), settled)
        before = query.start(_Position)
        rows = await listing.newest(connection, query.filter(), before=before, limit=query.limit)
    items, token = query.cut(rows, lambda row: (row.created_at, row.id))
    return _page(items, token, settled)


def _mark(cursor: str, begun: AlertMark) -> AlertMark:
    if not cursor:
        return BEGINNING
    after: AlertMark = decode_token("after", cursor, _Mark)
    if after > begun:
        # The database was restored from a dump, so its transactions are numbered from the start.
        raise invalid(FieldError("after", "is from before the database was restored; start again with an empty one"))
    return after


async def _poll(connection: AsyncConnection, query: AlertQuery, after: AlertMark, settled: AlertMark) -> AlertPage:
    if query.page_token is not None:
        raise invalid(FieldError("page_token", "can't be given with after: pass on each answer's next_after instead"))
    items = await listing.since(connection, query.filter(), after=after, until=settled, limit=query.page_size)
    is_full = len(items) == query.page_size
    return _page(items, None, (items[-1].transaction, items[-1].id) if is_full else max(after, settled))


def _page(items: Sequence[Row[Any]], token: str | None, next_after: AlertMark) -> AlertPage:
    alerts = [Alert.model_validate(row) for row in items]
    return AlertPage(items=alerts, next_page_token=token, next_after=encode_token(next_after))

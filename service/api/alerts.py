"""/v1/alerts: what was told, to be read by people and polled by programs."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from msgspec import Meta
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from service.api.auth import READ
from service.api.deps import Api
from service.api.pages import PageQuery, decode_token, encode_token
from service.api.paths import LONGEST_ACCOUNT_ID, printable
from service.api.problems import FieldError, invalid
from service.storage import alert_lists
from service.storage.alert_lists import Filter, Position

router = APIRouter(prefix="/v1/alerts", tags=["alerts"])

_Position = tuple[Annotated[datetime, Meta(tz=True)], UUID]
_BEGINNING: Position = (datetime(1970, 1, 1, tzinfo=UTC), UUID(int=0))


State = Literal["firing", "resolved", "digest"]


class Alert(BaseModel):
    """A rule began or ceased to fire for an account, or a digest of such alerts. `data` is what webhooks send.

    Quiet ones were told to nobody but in the digest `digest_id`. Where it is about many accounts, `account_id` and
    `sequence` are null.
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
    digest_id: UUID | None = Field(description="The digest that it is summed up in.")
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    snoozed_until: datetime | None = Field(description="Before then its rule doesn't begin to fire again.")


class AlertPage(BaseModel):
    """A page of alerts. `cursor` is for `after`: with it, what has come since is read."""

    items: Sequence[Alert]
    next_page_token: str | None
    cursor: str


class AlertQuery(PageQuery):
    """Which alerts."""

    account_id: Annotated[str, AfterValidator(printable)] | None = Field(None, max_length=LONGEST_ACCOUNT_ID)
    rule: Annotated[str, AfterValidator(printable)] | None = Field(
        None, max_length=200, description="A rule's id, or its name at the time."
    )
    state: State | None = None
    digest: UUID | None = Field(None, description="Those that are summed up in this digest.")
    after: str | None = Field(
        None,
        description="The `cursor` of an earlier answer, or nothing for the beginning: alerts come oldest first, and "
        "each exactly once if every answer's `cursor` is passed on.",
    )

    def filter(self) -> Filter:
        """What storage is asked for."""
        return Filter(account_id=self.account_id, rule=self.rule, state=self.state, digest=self.digest)


@router.get("", summary="List or poll alerts", dependencies=READ)
async def list_alerts(query: Annotated[AlertQuery, Query()], api: Api) -> AlertPage:
    """Newest first, page by page; or, with `after`, oldest first from a cursor on.

    To poll, pass the `cursor` of each answer as the next `after`. An alert comes up there about two seconds after it
    was written, so that none is passed over that was written at the same time and finished later.
    """
    async with api.reads.connect() as connection:
        settled = await alert_lists.settled(connection)
        if query.after is not None:
            return await _poll(connection, query, query.after, settled)
        before = query.start(_Position)
        rows = await alert_lists.newest(connection, query.filter(), before=before, limit=query.limit)
    items, token = query.cut(rows, lambda row: (row.created_at, row.id))
    return _page(items, token, _just_before(settled))


async def _poll(connection: AsyncConnection, query: AlertQuery, cursor: str, settled: datetime) -> AlertPage:
    if query.page_token is not None:
        raise invalid(FieldError("page_token", "goes without after: pass on the cursor of each answer instead"))
    after: Position = decode_token("after", cursor, _Position) if cursor else _BEGINNING
    items = await alert_lists.since(connection, query.filter(), after=after, until=settled, limit=query.page_size)
    is_full = len(items) == query.page_size
    end = (items[-1].created_at, items[-1].id) if is_full else max(after, _just_before(settled))
    return _page(items, None, end)


def _just_before(moment: datetime) -> Position:
    return moment, UUID(int=0)


def _page(items: Sequence[Row[Any]], token: str | None, cursor: Position) -> AlertPage:
    alerts = [Alert.model_validate(row) for row in items]
    return AlertPage(items=alerts, next_page_token=token, cursor=encode_token(cursor))

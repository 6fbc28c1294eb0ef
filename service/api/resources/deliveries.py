"""/v1/deliveries/{id} and /v1/webhook-endpoints/{id}/deliveries: the state of deliveries, and sending one again."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from msgspec import Meta
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from service.api.access.auth import READ, WRITE
from service.api.access.deps import Api
from service.api.http.pagination import PageQuery
from service.api.http.problems import ProblemError, not_found
from service.storage.webhooks import delivery_log, endpoints, resend
from service.storage.webhooks.delivery_log import Delivery, LoggedAttempt
from service.storage.webhooks.delivery_results import DeliveryState

router = APIRouter(prefix="/v1", tags=["webhooks"])

_Number = Annotated[int, Meta(ge=0, le=2**15 - 1)]


class DeliveryAttempt(BaseModel):
    """One HTTP attempt: a status, or the reason why there was no answer."""

    model_config = ConfigDict(from_attributes=True)

    number: int
    started_at: datetime
    duration_seconds: float
    status: int | None
    error: str | None
    response: str | None = Field(description="The first 4 kB of what the receiver answered.")


class AlertDelivery(BaseModel):
    """One alert on its way to an endpoint. `due_at` is the next attempt's time while it is pending."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    alert_id: UUID
    endpoint_id: UUID
    account_id: str | None = Field(description="Null where the alert is about many accounts.")
    type: str
    state: DeliveryState
    attempts: int = Field(description="All attempts, including those before it was sent again.")
    due_at: datetime
    created_at: datetime
    finished_at: datetime | None
    last_attempt: DeliveryAttempt | None


class DeliveryPage(BaseModel):
    """A page of deliveries."""

    items: Sequence[AlertDelivery]
    next_page_token: str | None


class AttemptPage(BaseModel):
    """A page of attempts."""

    items: Sequence[DeliveryAttempt]
    next_page_token: str | None


class DeliveryQuery(PageQuery):
    """Filters of deliveries."""

    state: DeliveryState | None = None


@router.get("/webhook-endpoints/{endpoint_id}/deliveries", summary="List an endpoint's deliveries", dependencies=READ)
async def list_deliveries(endpoint_id: UUID, query: Annotated[DeliveryQuery, Query()], api: Api) -> DeliveryPage:
    """Deliveries, newest first, each with its last attempt."""
    before = query.start(tuple[Annotated[datetime, Meta(tz=True)], UUID])
    async with api.reads.connect() as connection:
        if await endpoints.get(connection, endpoint_id) is None:
            raise not_found("webhook endpoint")
        rows = await delivery_log.page(connection, endpoint_id, before=before, limit=query.limit, state=query.state)
        items, token = query.cut(rows, lambda delivery: (delivery.created_at, delivery.id))
        attempts = await delivery_log.last_attempts(connection, [delivery.id for delivery in items])
    return DeliveryPage(
        items=[_shown(delivery, attempts.get(delivery.id)) for delivery in items], next_page_token=token
    )


@router.get("/deliveries/{delivery_id}", summary="One delivery", dependencies=READ)
async def read_delivery(delivery_id: UUID, api: Api) -> AlertDelivery:
    """A delivery with its last attempt."""
    async with api.reads.connect() as connection:
        return await _one(connection, delivery_id)


@router.get("/deliveries/{delivery_id}/attempts", summary="List a delivery's attempts", dependencies=READ)
async def list_attempts(delivery_id: UUID, query: Annotated[PageQuery, Query()], api: Api) -> AttemptPage:
    """Attempts, newest first: each with a status, or the reason why there was no answer, and the receiver's
    response.
    """
    before = query.start(_Number)
    async with api.reads.connect() as connection:
        if await delivery_log.get(connection, delivery_id) is None:
            raise not_found("delivery")
        rows = await delivery_log.attempts(connection, delivery_id, before=before, limit=query.limit)
    items, token = query.cut(rows, lambda attempt: attempt.number)
    return AttemptPage(items=[DeliveryAttempt.model_validate(attempt) for attempt in items], next_page_token=token)


@router.post("/deliveries/{delivery_id}/resend", status_code=202, summary="Send a message again", dependencies=WRITE)
async def resend_delivery(delivery_id: UUID, api: Api) -> AlertDelivery:
    """Make a finished delivery due now, in whatever state it ended, with all its retries. 409 if it isn't finished.

    The message keeps its `webhook-id`, so a receiver can recognise one that it has already. A disabled endpoint gets
    it when it is enabled again.
    """
    now = api.clock()
    async with api.engine.begin() as connection:
        is_sent = await resend.resend(connection, delivery_id, now)
        delivery = await _one(connection, delivery_id)
        if not is_sent:
            raise ProblemError(409, await _why_not(connection, delivery, now))
    return delivery


async def _why_not(connection: AsyncConnection, delivery: AlertDelivery, now: datetime) -> str:
    if delivery.state != "pending" or await delivery_log.is_leased(connection, delivery.id, now):
        return "It is being sent at this moment: wait for the result."
    return f"It is pending already, and due at {delivery.due_at.isoformat()}."


async def _one(connection: AsyncConnection, delivery_id: UUID) -> AlertDelivery:
    delivery = await delivery_log.get(connection, delivery_id)
    if delivery is None:
        raise not_found("delivery")
    attempts = await delivery_log.last_attempts(connection, [delivery_id])
    return _shown(delivery, attempts.get(delivery_id))


def _shown(delivery: Delivery, attempt: LoggedAttempt | None) -> AlertDelivery:
    names = [name for name in AlertDelivery.model_fields if name != "last_attempt"]
    last = None if attempt is None else DeliveryAttempt.model_validate(attempt)
    return AlertDelivery(**{name: getattr(delivery, name) for name in names}, last_attempt=last)

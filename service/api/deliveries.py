"""/v1/webhook-endpoints/{id}/deliveries: what became of an endpoint's messages."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from msgspec import Meta
from pydantic import BaseModel, ConfigDict, Field

from service.api.auth import READ
from service.api.deps import Api
from service.api.pages import PageQuery
from service.api.problems import not_found
from service.storage import delivery_log, endpoints, last_attempts
from service.storage.deliveries import State
from service.storage.delivery_log import Delivery, PastAttempt

router = APIRouter(prefix="/v1/webhook-endpoints", tags=["webhooks"])


class DeliveryAttempt(BaseModel):
    """One HTTP try: a status, or why there was no answer."""

    model_config = ConfigDict(from_attributes=True)

    number: int
    started_at: datetime
    duration_seconds: float
    status: int | None
    error: str | None
    response: str | None = Field(description="The first 4 kB of what the receiver answered.")


class AlertDelivery(BaseModel):
    """One alert on its way to the endpoint. `due_at` is the next attempt's time while it is pending."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    alert_id: UUID
    account_id: str | None = Field(description="Null where the alert is about many accounts.")
    type: str
    state: State
    attempts: int
    due_at: datetime
    created_at: datetime
    finished_at: datetime | None
    last_attempt: DeliveryAttempt | None


class DeliveryPage(BaseModel):
    """A page of deliveries."""

    items: Sequence[AlertDelivery]
    next_page_token: str | None


class DeliveryQuery(PageQuery):
    """Which deliveries."""

    state: State | None = None


@router.get("/{endpoint_id}/deliveries", summary="List an endpoint's deliveries", dependencies=READ)
async def list_deliveries(endpoint_id: UUID, query: Annotated[DeliveryQuery, Query()], api: Api) -> DeliveryPage:
    """Newest first, each with how its last attempt went."""
    before = query.start(tuple[Annotated[datetime, Meta(tz=True)], UUID])
    async with api.reads.connect() as connection:
        if await endpoints.get(connection, endpoint_id) is None:
            raise not_found("webhook endpoint")
        rows = await delivery_log.page(connection, endpoint_id, before=before, limit=query.limit, state=query.state)
        items, token = query.cut(rows, lambda delivery: (delivery.created_at, delivery.id))
        attempts = await last_attempts.of(connection, [delivery.id for delivery in items])
    return DeliveryPage(
        items=[_shown(delivery, attempts.get(delivery.id)) for delivery in items], next_page_token=token
    )


def _shown(delivery: Delivery, attempt: PastAttempt | None) -> AlertDelivery:
    names = [name for name in AlertDelivery.model_fields if name != "last_attempt"]
    last = None if attempt is None else DeliveryAttempt.model_validate(attempt)
    return AlertDelivery(**{name: getattr(delivery, name) for name in names}, last_attempt=last)

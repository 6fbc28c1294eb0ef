"""/v1/webhook-endpoints: the receivers of alerts."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from service.api.access.auth import READ, WRITE
from service.api.access.deps import Api
from service.api.http.openapi_helpers import json_request_body
from service.api.http.pagination import PageQuery
from service.api.http.problems import not_found
from service.api.http.request_bodies import body_of
from service.api.resources.webhook_endpoint_document import (
    EXAMPLE,
    EndpointBody,
    EndpointPatch,
    all_columns,
    changed_columns,
)
from service.delivery.transport import signing_keys
from service.delivery.transport.signing_keys import SigningSecret
from service.runtime.ids import new_id
from service.runtime.vault import new_webhook_secret
from service.storage.webhooks import endpoints
from service.storage.webhooks.endpoints import DisabledReason, Endpoint

router = APIRouter(prefix="/v1/webhook-endpoints", tags=["webhooks"])


class WebhookEndpoint(BaseModel):
    """A subscriber. Neither its secret nor its headers and options are shown."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    url: str
    target: str
    description: str
    enabled: bool
    has_headers: bool
    has_options: bool
    event_types: Sequence[str] | None
    rules: Sequence[str] | None
    bands: Sequence[str] | None
    segments: Sequence[str] | None
    stages: Sequence[str] | None
    owners: Sequence[str] | None
    ordered: bool
    rate_limit: float | None
    paused_until: datetime | None = Field(
        description="By its own answer (429, or 503 with `Retry-After`) it accepts no message before then."
    )
    disabled_reason: DisabledReason | None = Field(
        description="`gone`: it answered 410. `failing`: nothing reached it for five days. Null if disabled by hand."
    )
    failing_since: datetime | None = Field(description="When the first attempt failed after the last success.")
    created_at: datetime
    updated_at: datetime


class NewWebhookEndpoint(WebhookEndpoint):
    """A subscriber just created, with the secret that signs its messages."""

    secret: str = Field(description="Shown this once. Keep it: receivers verify `webhook-signature` with it.")


class WebhookEndpointPage(BaseModel):
    """A page of endpoints."""

    items: Sequence[WebhookEndpoint]
    next_page_token: str | None


@router.get("", summary="List webhook endpoints", dependencies=READ)
async def list_endpoints(query: Annotated[PageQuery, Query()], api: Api) -> WebhookEndpointPage:
    """Endpoints in the order of their creation."""
    async with api.reads.connect() as connection:
        rows = await endpoints.page(connection, after=query.start(UUID), limit=query.limit)
    items, token = query.cut(rows, lambda endpoint: endpoint.id)
    return WebhookEndpointPage(items=[_shown(endpoint) for endpoint in items], next_page_token=token)


@router.post(
    "",
    status_code=201,
    summary="Create a webhook endpoint",
    dependencies=WRITE,
    openapi_extra=json_request_body(EndpointBody, EXAMPLE),
)
async def create_endpoint(
    body: Annotated[EndpointBody, Depends(body_of(EndpointBody))], api: Api, response: Response
) -> NewWebhookEndpoint:
    """Create an endpoint. Alerts from now on that pass its filters are sent to it, signed as Standard Webhooks
    specifies.
    """
    secret = new_webhook_secret()
    columns = all_columns(body, api.settings, api.vault)
    columns["secret"] = api.vault.seal(signing_keys.dump((SigningSecret(secret),)))
    async with api.engine.begin() as connection:
        created = await endpoints.create(connection, new_id(), columns, api.clock())
    response.headers["Cache-Control"] = "no-store"
    return NewWebhookEndpoint(**_shown(created).model_dump(), secret=secret)


@router.get("/{endpoint_id}", summary="One webhook endpoint", dependencies=READ)
async def read_endpoint(endpoint_id: UUID, api: Api) -> WebhookEndpoint:
    """An endpoint."""
    async with api.reads.connect() as connection:
        return _shown(await endpoints.get(connection, endpoint_id))


@router.put(
    "/{endpoint_id}",
    summary="Replace a webhook endpoint",
    dependencies=WRITE,
    openapi_extra=json_request_body(EndpointBody, EXAMPLE),
)
async def replace_endpoint(
    endpoint_id: UUID, body: Annotated[EndpointBody, Depends(body_of(EndpointBody))], api: Api
) -> WebhookEndpoint:
    """Replace an endpoint. Omitted fields take their defaults; the secret stays."""
    columns = all_columns(body, api.settings, api.vault)
    async with api.engine.begin() as connection:
        return _shown(await endpoints.change(connection, endpoint_id, columns, api.clock()))


@router.patch(
    "/{endpoint_id}",
    summary="Change a webhook endpoint",
    dependencies=WRITE,
    openapi_extra=json_request_body(EndpointPatch, {"enabled": False}),
)
async def change_endpoint(
    endpoint_id: UUID, body: Annotated[EndpointPatch, Depends(body_of(EndpointPatch))], api: Api
) -> WebhookEndpoint:
    """Change an endpoint. Omitted fields stay. Messages that waited while it was disabled are sent when it is enabled
    again.

    When enabled again it starts with no failures.
    """
    async with api.engine.begin() as connection:
        stored = await endpoints.lock(connection, endpoint_id)
        if stored is None:
            raise not_found("webhook endpoint")
        columns = changed_columns(body, stored, api.settings, api.vault)
        return _shown(await endpoints.change(connection, endpoint_id, columns, api.clock()))


@router.delete("/{endpoint_id}", status_code=204, summary="Delete a webhook endpoint", dependencies=WRITE)
async def delete_endpoint(endpoint_id: UUID, api: Api) -> None:
    """Delete an endpoint and its deliveries; the alerts stay."""
    async with api.engine.begin() as connection:
        if not await endpoints.remove(connection, endpoint_id):
            raise not_found("webhook endpoint")


def _shown(endpoint: Endpoint | None) -> WebhookEndpoint:
    if endpoint is None:
        raise not_found("webhook endpoint")
    sealed = {"has_headers": endpoint.headers is not None, "has_options": endpoint.options is not None}
    names = WebhookEndpoint.model_fields.keys() - sealed
    return WebhookEndpoint(**{name: getattr(endpoint, name) for name in names}, **sealed)

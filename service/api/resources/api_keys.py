"""/v1/api-keys: the keys to the API."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from service.api.access.auth import ADMIN
from service.api.access.deps import Api
from service.api.http.account_paths import Printable
from service.api.http.day_range import BodyInstant
from service.api.http.openapi_helpers import json_request_body
from service.api.http.pagination import PageQuery
from service.api.http.problems import FieldError, invalid, not_found
from service.api.http.request_bodies import StrictModel, body_of
from service.runtime.api_key import SCOPES, Scope, new_key
from service.runtime.ids import new_id
from service.storage.access import api_keys

router = APIRouter(prefix="/v1/api-keys", tags=["operations"])


class ApiKeyBody(StrictModel):
    """A key to be created."""

    name: Annotated[str, Field(min_length=1, max_length=200), Printable()]
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=len(SCOPES))]
    expires_at: BodyInstant | None = None


class ApiKey(BaseModel):
    """A key without its text. `hint` is its beginning; `last_used_at` is exact to about a minute."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    hint: str
    scopes: Sequence[Scope]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


class NewApiKey(ApiKey):
    """A key that was just created."""

    key: str = Field(description="Shown this once; only its hash is kept.")


class ApiKeyPage(BaseModel):
    """A page of keys."""

    items: Sequence[ApiKey]
    next_page_token: str | None


@router.get("", summary="List API keys", dependencies=ADMIN)
async def list_keys(query: Annotated[PageQuery, Query()], api: Api) -> ApiKeyPage:
    """Keys in the order of their creation, expired ones included."""
    async with api.reads.connect() as connection:
        rows = await api_keys.page(connection, after=query.start(UUID), limit=query.limit)
    items, token = query.cut(rows, lambda key: key.id)
    return ApiKeyPage(items=[ApiKey.model_validate(key) for key in items], next_page_token=token)


@router.post(
    "",
    status_code=201,
    summary="Create an API key",
    dependencies=ADMIN,
    openapi_extra=json_request_body(
        ApiKeyBody, {"name": "crm", "scopes": ["read"], "expires_at": "2030-01-31T00:00:00Z"}
    ),
)
async def create_key(
    body: Annotated[ApiKeyBody, Depends(body_of(ApiKeyBody))], api: Api, response: Response
) -> NewApiKey:
    """Create a key. Scope write includes read, and admin both. To replace a key, create another and delete it."""
    now = api.clock()
    if body.expires_at is not None and body.expires_at <= now:
        raise invalid(FieldError("expires_at", "must be in the future"))
    key = new_key()
    async with api.engine.begin() as connection:
        created = await api_keys.create(
            connection,
            new_id(),
            name=body.name,
            digest=key.digest,
            hint=key.hint,
            scopes=[scope for scope in SCOPES if scope in body.scopes],
            now=now,
            expires_at=body.expires_at,
        )
    response.headers["Cache-Control"] = "no-store"
    return NewApiKey(**ApiKey.model_validate(created).model_dump(), key=key.text)


@router.get("/{key_id}", summary="One API key", dependencies=ADMIN)
async def read_key(key_id: UUID, api: Api) -> ApiKey:
    """A key, without its text."""
    async with api.reads.connect() as connection:
        key = await api_keys.get(connection, key_id)
    if key is None:
        raise not_found("API key")
    return ApiKey.model_validate(key)


@router.delete("/{key_id}", status_code=204, summary="Delete an API key", dependencies=ADMIN)
async def delete_key(key_id: UUID, api: Api) -> None:
    """Delete a key. It stops working at once here, and within ten seconds in other processes."""
    async with api.engine.begin() as connection:
        if not await api_keys.remove(connection, key_id):
            raise not_found("API key")
    api.keys.forget()

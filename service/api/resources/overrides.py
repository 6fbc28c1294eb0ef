"""/v1/accounts/{id}/health/override: a score or a band set by hand."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from scoring.rules.conditions import KnownBand
from scoring.rules.policy import Policy
from scoring.scorecards.override import Override
from scoring.state.calendar import to_micros
from service.api.access.auth import WRITE
from service.api.access.deps import RIGHT_CLOCK, Api, Context
from service.api.http.account_paths import AccountId, Printable
from service.api.http.day_range import BodyInstant
from service.api.http.openapi_helpers import json_request_body
from service.api.http.problems import FieldError, invalid, not_found
from service.api.http.request_bodies import StrictModel, body_of
from service.api.middleware.tracing import traces
from service.evaluation.evaluate import Inputs, advance_accounts
from service.storage.accounts import accounts
from service.storage.accounts.score_codec import decode_override

router = APIRouter(prefix="/v1/accounts", tags=["accounts"])

EXAMPLE = {
    "band": "red",
    "reason": "Their champion has left.",
    "author": "ann@example.com",
    "expires_at": "2030-01-31T00:00:00Z",
}


class OverrideBody(StrictModel):
    """A score, a band, or both, that replace the computed ones."""

    score: float | None = Field(None, ge=0, le=100, allow_inf_nan=False)
    band: KnownBand | None = Field(None, description="By default that of the score, by the account's scorecard.")
    reason: Annotated[str, Field(min_length=1, max_length=1000), Printable()]
    author: Annotated[str, Field(min_length=1, max_length=200), Printable()]
    expires_at: BodyInstant | None = Field(None, description="Its end; without one, it stays until it is deleted.")


class StoredOverride(BaseModel):
    """An override as it is stored."""

    score: float | None
    band: KnownBand | None
    reason: str
    author: str
    set_at: datetime
    expires_at: datetime | None


@router.put(
    "/{account_id:account}/health/override",
    summary="Override a score or a band",
    dependencies=[*WRITE, *RIGHT_CLOCK],
    openapi_extra=json_request_body(OverrideBody, EXAMPLE),
)
async def set_override(
    account_id: AccountId, body: Annotated[OverrideBody, Depends(body_of(OverrideBody))], api: Api
) -> StoredOverride:
    """Set a score, a band or both by hand, replacing an existing override.

    The computed score is still kept, and shown beside the override; alert rules see the override, at once. It ends at
    `expires_at`, or when it is deleted.
    """
    now = api.clock()
    override = _override(body, now)
    async with api.engine.begin() as connection:
        policy = await api.policies.in_force(connection)
        if await accounts.lock(connection, account_id) is None:
            raise not_found("account")
        await _let_count(api, connection, policy, account_id, override, now)
    return StoredOverride(
        score=override.score,
        band=override.band,
        reason=override.reason,
        author=override.author,
        set_at=now,
        expires_at=body.expires_at,
    )


@router.delete(
    "/{account_id:account}/health/override",
    status_code=204,
    summary="Delete an override",
    dependencies=[*WRITE, *RIGHT_CLOCK],
)
async def end_override(account_id: AccountId, api: Api) -> None:
    """Delete the override: the computed score counts again, at once."""
    now = api.clock()
    async with api.engine.begin() as connection:
        policy = await api.policies.in_force(connection)
        held = await accounts.lock(connection, account_id)
        if held is None:
            raise not_found("account")
        override = decode_override(held.override)
        if override is None or _is_over(override, now):
            raise not_found("override")
        await _let_count(api, connection, policy, account_id, None, now)


def _override(body: OverrideBody, now: datetime) -> Override:
    if body.score is None and body.band is None:
        raise invalid(FieldError("score", "give a score, a band, or both"))
    if body.expires_at is not None and body.expires_at <= now:
        raise invalid(FieldError("expires_at", "must be in the future"))
    return Override(
        reason=body.reason,
        author=body.author,
        set_at=to_micros(now),
        score=body.score,
        band=body.band,
        expires_at=to_micros(body.expires_at) if body.expires_at else None,
    )


def _is_over(override: Override, now: datetime) -> bool:
    return override.expires_at is not None and override.expires_at <= to_micros(now)


async def _let_count(
    api: Context, connection: AsyncConnection, policy: Policy, account_id: str, override: Override | None, now: datetime
) -> None:
    inputs = Inputs({account_id: ()}, overrides={account_id: override}, traces=traces(account_id))
    await advance_accounts(connection, inputs, policy, now, base_url=api.settings.base_url)

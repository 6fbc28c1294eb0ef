"""/v1/webhook-endpoints/{id}/…: rotating the secret, sending a test message, and sending failed deliveries again."""

from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, Field

from service.alerts import sample_alert
from service.api.access.auth import WRITE
from service.api.access.deps import Api
from service.api.http.day_range import BodyInstant
from service.api.http.openapi_helpers import json_request_body
from service.api.http.problems import FieldError, ProblemError, invalid, not_found
from service.api.http.request_bodies import StrictModel, body_of
from service.delivery.transport import signing_keys
from service.runtime.vault import new_webhook_secret
from service.storage.webhooks import endpoints, resend
from service.storage.webhooks.endpoints import Endpoint
from service.storage.webhooks.resend import FailedDeliveries

router = APIRouter(prefix="/v1/webhook-endpoints", tags=["webhooks"])

OLD_SIGNS_FOR = timedelta(hours=24)
MOST_SECRETS = 5
"""The most secrets that sign at a time: each lengthens the header of signatures, and receivers limit their headers."""
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class RotatedSecret(BaseModel):
    """The endpoint's new secret. Until `old_signs_until` messages are signed with the old one too."""

    id: UUID
    secret: str = Field(description="Shown this once.")
    old_signs_until: datetime


class TestDelivery(BaseModel):
    """A test message on its way: its state is at `/v1/deliveries/{delivery_id}`."""

    __test__ = False

    delivery_id: UUID


class Recovery(StrictModel):
    """The deliveries to send again: those that failed, and were written at `since` or later and before `until`."""

    since: BodyInstant
    until: BodyInstant | None = None
    dry_run: bool = Field(False, description="Only count them.")


class Recovered(BaseModel):
    """The number of deliveries that are sent again or, with `dry_run`, would be."""

    deliveries: int
    dry_run: bool


@router.post("/{endpoint_id}/rotate-secret", summary="Rotate a webhook endpoint's secret", dependencies=WRITE)
async def rotate_secret(endpoint_id: UUID, api: Api, response: Response) -> RotatedSecret:
    """Generate a new secret, which signs from now on; for 24 hours the old one does too, so that receivers can
    change over.
    """
    secret, now = new_webhook_secret(), api.clock()
    until = now + OLD_SIGNS_FOR
    async with api.engine.begin() as connection:
        endpoint = _found(await endpoints.lock(connection, endpoint_id))
        secrets = signing_keys.rotate(signing_keys.load(api.vault.open(endpoint.secret)), secret, now, until)
        if len(secrets) > MOST_SECRETS:
            raise ProblemError(409, f"{MOST_SECRETS} secrets sign already. The oldest of them expire within 24 hours.")
        sealed = api.vault.seal(signing_keys.dump(secrets))
        await endpoints.change(connection, endpoint_id, {"secret": sealed}, now)
    response.headers["Cache-Control"] = "no-store"
    return RotatedSecret(id=endpoint_id, secret=secret, old_signs_until=until)


@router.post("/{endpoint_id}/test", status_code=202, summary="Send a test message", dependencies=WRITE)
async def send_test(endpoint_id: UUID, api: Api) -> TestDelivery:
    """Send a message that looks like an alert, of rule `test` and about no account, to this endpoint alone.

    It is signed, sent and retried like any other, whatever the endpoint's filters are. In a CRM it creates a record of
    its own, named `account-health test`, which may be deleted.
    """
    async with api.engine.begin() as connection:
        endpoint = _found(await endpoints.lock(connection, endpoint_id))
        if not endpoint.enabled:
            raise ProblemError(409, f"{_why(endpoint)} Enable it first: PATCH it with enabled true.")
        delivery_id = await sample_alert.send(connection, endpoint_id, api.clock(), api.settings.base_url)
    return TestDelivery(delivery_id=delivery_id)


@router.post(
    "/{endpoint_id}/recover",
    summary="Send failed deliveries again",
    dependencies=WRITE,
    openapi_extra=json_request_body(Recovery, {"since": "2026-01-31T00:00:00Z", "dry_run": True}),
)
async def recover(endpoint_id: UUID, body: Annotated[Recovery, Depends(body_of(Recovery))], api: Api) -> Recovered:
    """Make all failed deliveries due again, the oldest first, at half the endpoint's rate limit or 10 a second.

    Each starts with all its retries. With `dry_run` they are only counted.
    """
    now = api.clock()
    wanted = _wanted(endpoint_id, body, now)
    async with api.engine.begin() as connection:
        _found(await endpoints.get(connection, endpoint_id))
        if body.dry_run:
            count = await resend.count(connection, wanted)
        else:
            count = await resend.recover(connection, wanted, now)
    return Recovered(deliveries=count, dry_run=body.dry_run)


def _wanted(endpoint_id: UUID, body: Recovery, now: datetime) -> FailedDeliveries:
    if body.since > now:
        raise invalid(FieldError("since", "must not be in the future"))
    if body.until is not None and body.since >= body.until:
        raise invalid(FieldError("since", "must be before until"))
    # Limited to the range of the database; anything outside makes no difference.
    until = None if body.until is None or body.until > now else max(body.until, _LONG_AGO)
    return FailedDeliveries(endpoint_id=endpoint_id, since=max(body.since, _LONG_AGO), until=until)


def _found(endpoint: Endpoint | None) -> Endpoint:
    if endpoint is None:
        raise not_found("webhook endpoint")
    return endpoint


def _why(endpoint: Endpoint) -> str:
    match endpoint.disabled_reason:
        case "gone":
            return "The endpoint is disabled, as it answered 410 Gone."
        case "failing":
            return "The endpoint is disabled, as it failed for too long."
        case None:
            return "The endpoint is disabled."

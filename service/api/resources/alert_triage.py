"""/v1/alerts/{id}: one alert, acknowledging it, and snoozing its rule."""

from datetime import timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import Field

from service.alerts import triage
from service.alerts.triage import NotFiringError, NotOneRuleError
from service.api.access.auth import READ, WRITE
from service.api.access.deps import Api
from service.api.http.account_paths import Printable
from service.api.http.day_range import BodyInstant
from service.api.http.openapi_helpers import json_request_body
from service.api.http.problems import FieldError, ProblemError, invalid, not_found
from service.api.http.request_bodies import StrictModel, body_of
from service.api.resources.alerts import Alert
from service.storage.alerts import listing

router = APIRouter(prefix="/v1/alerts", tags=["alerts"])

LONGEST_SNOOZE = timedelta(days=366)

Person = Annotated[str, Field(min_length=1, max_length=200), Printable()]


class Acknowledgement(StrictModel):
    """The person who has seen an alert."""

    by: Person


class Snooze(StrictModel):
    """The time until which a rule must not begin to fire again for an account."""

    until: BodyInstant = Field(description="At most a year ahead.")
    by: Person | None = Field(
        None, description="The person who asks for it; a firing alert is acknowledged in their name."
    )


@router.get("/{alert_id}", summary="One alert", dependencies=READ)
async def read_alert(alert_id: UUID, api: Api) -> Alert:
    """An alert."""
    async with api.reads.connect() as connection:
        alert = await listing.get(connection, alert_id)
    return _shown(alert)


@router.post(
    "/{alert_id}/acknowledge",
    summary="Acknowledge an alert",
    dependencies=WRITE,
    openapi_extra=json_request_body(Acknowledgement, {"by": "ann@example.com"}),
)
async def acknowledge_alert(
    alert_id: UUID, body: Annotated[Acknowledgement, Depends(body_of(Acknowledgement))], api: Api
) -> Alert:
    """Note who has seen a firing alert, for others to see; the first acknowledgement stays. 409 if it is over."""
    try:
        async with api.engine.begin() as connection:
            alert = await triage.acknowledge(connection, alert_id, body.by, api.clock())
    except NotFiringError:
        raise ProblemError(409, "It no longer fires: there is nothing to acknowledge.") from None
    return _shown(alert)


@router.post(
    "/{alert_id}/snooze",
    summary="Snooze an alert",
    dependencies=WRITE,
    openapi_extra=json_request_body(Snooze, {"until": "2030-01-31T00:00:00Z", "by": "ann@example.com"}),
)
async def snooze_alert(alert_id: UUID, body: Annotated[Snooze, Depends(body_of(Snooze))], api: Api) -> Alert:
    """Keep the alert's rule from firing again for its account before `until`; the end of a firing alert is still sent.

    If the account is beyond the threshold when the snooze ends, the rule fires then. A new snooze replaces this one.
    """
    now = api.clock()
    if not now < body.until <= now + LONGEST_SNOOZE:
        raise invalid(FieldError("until", "must be in the future, and at most a year ahead"))
    try:
        async with api.engine.begin() as connection:
            alert = await triage.snooze(connection, alert_id, body.until, now, body.by)
    except NotOneRuleError:
        raise ProblemError(409, "It is about many accounts: snooze the alerts that it sums up.") from None
    return _shown(alert)


@router.delete("/{alert_id}/snooze", status_code=204, summary="End a snooze", dependencies=WRITE)
async def end_snooze(alert_id: UUID, api: Api) -> None:
    """End the snooze. If the account is beyond the rule's threshold, the rule fires within moments."""
    async with api.engine.begin() as connection:
        if not await triage.end_snooze(connection, alert_id, api.clock()):
            raise not_found("snooze")


def _shown(alert: object) -> Alert:
    if alert is None:
        raise not_found("alert")
    return Alert.model_validate(alert)

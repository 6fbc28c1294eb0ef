"""Notices to operators: alerts that aren't about one account, but about many, a webhook endpoint or a source of
events.
"""

from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from service.runtime.ids import new_id
from service.storage.alerts import alerts, routing
from service.storage.alerts.alerts import AlertRow
from service.storage.policy.sources import Outage
from service.storage.webhooks.endpoints import DisabledReason, Endpoint
from service.targets import ROUTED

FAILING, DISABLED = "endpoint failing", "endpoint disabled"
WENT_QUIET, ENDED = "source quiet", "source outage ended"
"""Used in place of a rule's name."""
TYPE = "health.digest"
_OF_ACCOUNTS = (
    "account_id",
    "account_name",
    "score",
    "previous_score",
    "band",
    "previous_band",
    "threshold",
    "sequence",
)

log = structlog.get_logger(__name__)


class EndpointNotice(NamedTuple):
    """An endpoint that fails and will be disabled at `disabled_at` at the earliest, or was disabled then."""

    endpoint_id: UUID
    url_host: str
    description: str
    what: str
    reason: DisabledReason
    since: datetime
    disabled_at: datetime


class SourceNotice(NamedTuple):
    """An outage that begins or ends, with the number of accounts seen, if known, and the usual one."""

    outage: Outage
    accounts: int | None
    usual: int | None


async def send(
    connection: AsyncConnection, what: str, about: dict[str, Any], *, url: str, now: datetime, but: UUID | None = None
) -> None:
    """Write a notice with its deliveries, in the transaction that is its reason.

    `what` takes the place of a rule's name; `about` is added to the fields of every alert. The endpoint `but` gets
    none.
    """
    written = await write(connection, what, notice_data(what, about, url=url), now)
    await routing.enqueue(connection, [written], now, targets=ROUTED, except_endpoint=but)


def notice_data(what: str, about: dict[str, Any], *, url: str) -> str:
    """The data of a notice as JSON text: the fields of every alert, most of them null, and those of `about`."""
    nothing: dict[str, Any] = dict.fromkeys(_OF_ACCOUNTS)
    data = {**nothing, "rule": what, "state": "digest", "drivers": [], "url": url, **about}
    return msgspec.json.encode(data).decode()


async def write(connection: AsyncConnection, what: str, data: str, now: datetime) -> UUID:
    """Write the alert of a notice, without deliveries; returns its id."""
    row = AlertRow(
        id=new_id(),
        account_id=None,
        sequence=None,
        rule_id=None,
        rule=what,
        type=TYPE,
        state="digest",
        in_digest=False,
        data=data,
        digest_id=None,
    )
    await alerts.insert(connection, [row], now)
    alerts.count_when_committed(connection, [row.state])
    return row.id


def endpoint_notice(
    endpoint: Endpoint, what: str, reason: DisabledReason, since: datetime, disabled_at: datetime
) -> EndpointNotice:
    """The notice about an endpoint. It names only the host of the URL, as the rest may hold a token."""
    host = urlsplit(endpoint.url).hostname or ""
    return EndpointNotice(endpoint.id, host, endpoint.description, what, reason, since, disabled_at)


async def send_about_endpoint(
    connection: AsyncConnection, notice: EndpointNotice, now: datetime, base_url: str
) -> None:
    """Write the notice for the other endpoints, in the transaction that warns or disables."""
    url = f"{base_url}/v1/webhook-endpoints/{notice.endpoint_id}"
    when = "disabled_at" if notice.what == DISABLED else "will_be_disabled_at"
    about = {
        "id": notice.endpoint_id,
        "url_host": notice.url_host,
        "description": notice.description,
        "reason": notice.reason,
        "since": notice.since,
        when: notice.disabled_at,
    }
    await send(connection, notice.what, {"endpoint": about}, url=url, now=now, but=notice.endpoint_id)


def log_endpoint_notice(notice: EndpointNotice) -> None:
    """Log the notice; call it once the transaction is committed."""
    write_line = log.error if notice.what == DISABLED else log.warning
    write_line(
        notice.what.replace(" ", "_"),
        endpoint=str(notice.endpoint_id),
        reason=notice.reason,
        since=notice.since.isoformat(),
        disabled_at=notice.disabled_at.isoformat(),
        remedy="See what was answered: GET /v1/webhook-endpoints/{id}/deliveries; deploy/webhooks-operating.md",
    )


async def send_about_source(connection: AsyncConnection, notice: SourceNotice, now: datetime, base_url: str) -> None:
    """Write the notice with its deliveries, in the transaction that begins or ends the outage."""
    outage, accounts, usual = notice
    about = {
        "name": outage.source,
        "began_on": outage.began_on,
        "ended_at": outage.ended_at,
        "accounts": accounts,
        "usual": usual,
    }
    what = WENT_QUIET if outage.ended_at is None else ENDED
    await send(connection, what, {"source": about}, url=f"{base_url}/v1/sources", now=now)

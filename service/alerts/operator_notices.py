"""What operators are told of a webhook endpoint that fails or was disabled: an alert that is about no account.

It goes to the other endpoints, as the one that it is about doesn't take messages.
"""

from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from service.alerts import operator_notices
from service.alerts.alert_metrics import count_when_committed
from service.runtime.ids import new_id
from service.storage.alerts import alerts, routing
from service.storage.alerts.alerts import AlertRow
from service.storage.policy.sources import Outage
from service.storage.webhooks.endpoints import DisabledReason, Endpoint
from service.targets import ROUTED

# MERGED """Notices: alerts about no single account, which tell operators of something that concerns many, or the service."""
# MERGED """What operators are told of a source that goes quiet, and of its end: an alert that is about no single account."""

FAILING, DISABLED = "endpoint failing", "endpoint disabled"
"""What stands in place of a rule's name."""

log = structlog.get_logger(__name__)


class Notice(NamedTuple):
    """An endpoint that fails and will be disabled at the earliest at `disabled_at`, or was disabled then."""

    endpoint_id: UUID
    url_host: str
    description: str
    what: str
    reason: DisabledReason
    since: datetime
    disabled_at: datetime


def notice_of(endpoint: Endpoint, what: str, reason: DisabledReason, since: datetime, disabled_at: datetime) -> Notice:
    """The notice. Of the URL only the host is told, as the rest may hold a token."""
    host = urlsplit(endpoint.url).hostname or ""
    return Notice(endpoint.id, host, endpoint.description, what, reason, since, disabled_at)


async def tell(connection: AsyncConnection, notice: Notice, now: datetime, base_url: str) -> None:
    """Write the alert with its deliveries, in the transaction that warns or disables."""
    url = f"{base_url}/v1/webhook-endpoints/{notice.endpoint_id}"
    about = {"endpoint": _about(notice)}
    await operator_notices.tell(connection, notice.what, about, url=url, now=now, but=notice.endpoint_id)


def put_in_log(notice: Notice) -> None:
    """For those who read logs: once the transaction is committed."""
    write = log.error if notice.what == DISABLED else log.warning
    write(
        notice.what.replace(" ", "_"),
        endpoint=str(notice.endpoint_id),
        reason=notice.reason,
        since=notice.since.isoformat(),
        disabled_at=notice.disabled_at.isoformat(),
        remedy="See what was answered: GET /v1/webhook-endpoints/{id}/deliveries; deploy/webhooks-operating.md",
    )


def _about(notice: Notice) -> dict[str, Any]:
    when = "disabled_at" if notice.what == DISABLED else "will_be_disabled_at"
    return {
        "id": notice.endpoint_id,
        "url_host": notice.url_host,
        "description": notice.description,
        "reason": notice.reason,
        "since": notice.since,
        when: notice.disabled_at,
    }


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


async def tell(
    connection: AsyncConnection, what: str, about: dict[str, Any], *, url: str, now: datetime, but: UUID | None = None
) -> None:
    """Write a notice with its deliveries, in the transaction that is its reason.

    `what` stands in place of a rule's name; `about` is added to the data that every alert has. The endpoint `but` gets
    none.
    """
    written = await write(connection, what, notice_data(what, about, url=url), now)
    await routing.enqueue(connection, [written], now, targets=ROUTED, but=but)


def notice_data(what: str, about: dict[str, Any], *, url: str) -> str:
    """The data of a notice as JSON text: what every alert has, most of it null, and what it is about."""
    nothing: dict[str, Any] = dict.fromkeys(_OF_ACCOUNTS)
    data = {**nothing, "rule": what, "state": "digest", "drivers": [], "url": url, **about}
    return msgspec.json.encode(data).decode()


async def write(connection: AsyncConnection, what: str, data: str, now: datetime) -> UUID:
    """Write the alert of a notice, without deliveries; its id."""
    row = AlertRow(
        id=new_id(),
        account_id=None,
        sequence=None,
        rule_id=None,
        rule=what,
        type=TYPE,
        state="digest",
        quiet=False,
        data=data,
        digest_id=None,
    )
    await alerts.insert(connection, [row], now)
    count_when_committed(connection, [row.state])
    return row.id


WENT_QUIET, ENDED = "source quiet", "source outage ended"
"""What stands in place of a rule's name."""


class Notice(NamedTuple):
    """An outage that begins or ends; of how many accounts the source was heard, if known, and of how many usually."""

    outage: Outage
    accounts: int | None
    usual: int | None


async def tell(connection: AsyncConnection, notice: Notice, now: datetime, base_url: str) -> None:
    """Write the alert with its deliveries, in the transaction that begins or ends the outage."""
    what = WENT_QUIET if notice.outage.ended_at is None else ENDED
    await operator_notices.tell(connection, what, {"source": _about(notice)}, url=f"{base_url}/v1/sources", now=now)


def _about(notice: Notice) -> dict[str, Any]:
    outage, accounts, usual = notice
    return {
        "name": outage.source,
        "began_on": outage.began_on,
        "ended_at": outage.ended_at,
        "accounts": accounts,
        "usual": usual,
    }

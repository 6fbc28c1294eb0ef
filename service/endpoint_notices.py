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

from service.delivery.targets import ACCOUNTS_ONLY
from service.digests import TYPE
from service.ids import new_id
from service.storage import alerts, deliveries
from service.storage.alerts import AlertRow
from service.storage.endpoints import DisabledReason, Endpoint

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
    row = _alert(notice, base_url)
    await alerts.insert(connection, [row], now)
    await deliveries.enqueue(connection, [row.id], now, accounts_only=ACCOUNTS_ONLY, but=notice.endpoint_id)


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


def _alert(notice: Notice, base_url: str) -> AlertRow:
    nothing = dict.fromkeys(
        ("account_id", "account_name", "score", "previous_score", "band", "previous_band", "threshold", "sequence")
    )
    url = f"{base_url}/v1/webhook-endpoints/{notice.endpoint_id}"
    data: dict[str, Any] = {
        **nothing,
        "rule": notice.what,
        "state": "digest",
        "drivers": [],
        "url": url,
        "endpoint": _about(notice),
    }
    return AlertRow(
        id=new_id(),
        account_id=None,
        sequence=None,
        rule_id=None,
        rule=notice.what,
        type=TYPE,
        state="digest",
        quiet=False,
        data=msgspec.json.encode(data).decode(),
        digest_id=None,
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

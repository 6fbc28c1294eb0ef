"""What operators are told of a webhook endpoint that fails or was disabled: an alert that is about no account.

It goes to the other endpoints, as the one that it is about doesn't take messages.
"""

from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from service import notices
from service.storage.webhooks.endpoints import DisabledReason, Endpoint

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
    await notices.tell(connection, notice.what, about, url=url, now=now, but=notice.endpoint_id)


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

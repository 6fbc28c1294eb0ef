"""Notices: alerts about no single account, which tell operators of something that concerns many, or the service."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from service.alert_counting import count_when_committed
from service.runtime.ids import new_id
from service.storage.alerts import alerts, routing
from service.storage.alerts.alerts import AlertRow
from service.targets import ROUTED

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

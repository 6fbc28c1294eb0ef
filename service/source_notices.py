"""What operators are told of a source that goes quiet, and of its end: an alert that is about no single account."""

from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from service.delivery.targets import ACCOUNTS_ONLY
from service.digests import TYPE
from service.ids import new_id
from service.storage import alerts, deliveries
from service.storage.alerts import AlertRow
from service.storage.sources import Outage

WENT_QUIET, ENDED = "source quiet", "source outage ended"
"""What stands in place of a rule's name."""


class Notice(NamedTuple):
    """An outage that begins or ends; of how many accounts the source was heard, if known, and of how many usually."""

    outage: Outage
    accounts: int | None
    usual: int | None


async def tell(connection: AsyncConnection, notice: Notice, now: datetime, base_url: str) -> None:
    """Write the alert with its deliveries, in the transaction that begins or ends the outage."""
    row = _alert(notice, base_url)
    await alerts.insert(connection, [row], now)
    await deliveries.enqueue(connection, [row.id], now, accounts_only=ACCOUNTS_ONLY)


def _alert(notice: Notice, base_url: str) -> AlertRow:
    what = WENT_QUIET if notice.outage.ended_at is None else ENDED
    nothing = dict.fromkeys(
        ("account_id", "account_name", "score", "previous_score", "band", "previous_band", "threshold", "sequence")
    )
    url = f"{base_url}/v1/sources"
    source = _about(notice)
    data: dict[str, Any] = {**nothing, "rule": what, "state": "digest", "drivers": [], "url": url, "source": source}
    return AlertRow(
        id=new_id(),
        account_id=None,
        sequence=None,
        rule_id=None,
        rule=what,
        type=TYPE,
        state="digest",
        quiet=False,
        data=msgspec.json.encode(data).decode(),
        digest_id=None,
    )


def _about(notice: Notice) -> dict[str, Any]:
    outage, accounts, usual = notice
    return {
        "name": outage.source,
        "began_on": outage.began_on,
        "ended_at": outage.ended_at,
        "accounts": accounts,
        "usual": usual,
    }

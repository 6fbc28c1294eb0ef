"""What operators are told of a source that goes quiet, and of its end: an alert that is about no single account."""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from service import notices
from service.storage.policy.sources import Outage

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
    await notices.tell(connection, what, {"source": _about(notice)}, url=f"{base_url}/v1/sources", now=now)


def _about(notice: Notice) -> dict[str, Any]:
    outage, accounts, usual = notice
    return {
        "name": outage.source,
        "began_on": outage.began_on,
        "ended_at": outage.ended_at,
        "accounts": accounts,
        "usual": usual,
    }

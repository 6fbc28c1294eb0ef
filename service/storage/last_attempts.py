"""How the last attempt of each of some deliveries went."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from service.storage.delivery_log import PastAttempt
from service.storage.tables import delivery_attempts as table


async def of(connection: AsyncConnection, delivery_ids: Sequence[UUID]) -> dict[UUID, PastAttempt]:
    """The last attempt by delivery; one that was never attempted is left out."""
    query = (
        select(table)
        .where(table.c.delivery_id.in_(delivery_ids))
        .ext(distinct_on(table.c.delivery_id))
        .order_by(table.c.delivery_id, table.c.number.desc())
    )
    names = PastAttempt.__dataclass_fields__
    rows = (await connection.execute(query)).mappings()
    return {row["delivery_id"]: PastAttempt(**{name: row[name] for name in names}) for row in rows}

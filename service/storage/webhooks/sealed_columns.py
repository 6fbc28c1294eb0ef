"""The sealed columns: secrets, headers and options of webhook endpoints."""

from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from service.storage.database.tables import webhook_endpoints as table

COLUMNS = ("secret", "headers", "options")


class SealedRow(NamedTuple):
    """An endpoint's sealed columns, by name; those that are null are left out."""

    endpoint_id: UUID
    sealed: Mapping[str, bytes]


async def lock(connection: AsyncConnection) -> list[SealedRow]:
    """All of them, locked until the transaction ends."""
    query = select(table.c.id, *(table.c[name] for name in COLUMNS)).order_by(table.c.id).with_for_update()
    rows = (await connection.execute(query)).mappings()
    return [SealedRow(row["id"], {name: row[name] for name in COLUMNS if row[name] is not None}) for row in rows]


async def replace(connection: AsyncConnection, endpoint_id: UUID, sealed: Mapping[str, bytes]) -> None:
    """Write columns of a row that `lock` returned. For users of the endpoint nothing changes."""
    await connection.execute(
        update(table).where(table.c.id == endpoint_id).values({**sealed, "updated_at": table.c.updated_at})
    )

"""Seals the secrets, headers and options of webhook endpoints again with the first key, so that the others can be
dropped.
"""

from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from service.runtime.errors import HealthError
from service.runtime.vault import Vault
from service.storage.database.tables import webhook_endpoints as table

SEALED_COLUMNS = ("secret", "headers", "options")


class Resealed(NamedTuple):
    """The number of sealed values, and of those that were sealed with another key than the first."""

    total: int
    changed: int


class SealedRow(NamedTuple):
    """An endpoint's sealed columns, by name; those that are null are left out."""

    endpoint_id: UUID
    sealed: Mapping[str, bytes]


async def reseal(connection: AsyncConnection, vault: Vault) -> Resealed:
    """Seal again, with the vault's first key, all values sealed with another.

    Raises `HealthError`, naming an endpoint whose secrets none of the keys opens; then nothing is changed.
    """
    rows = await _lock(connection)
    fresh = {row.endpoint_id: _fresh(row, vault) for row in rows}
    for endpoint_id, columns in fresh.items():
        if columns:
            await _replace(connection, endpoint_id, columns)
    return Resealed(sum(len(row.sealed) for row in rows), sum(map(len, fresh.values())))


def _fresh(row: SealedRow, vault: Vault) -> Mapping[str, bytes]:
    stale = {name: value for name, value in row.sealed.items() if not vault.is_current(value)}
    try:
        return {name: vault.reseal(value) for name, value in stale.items()}
    except HealthError as error:
        raise HealthError(f"{error.problem}: of webhook endpoint {row.endpoint_id}", _lost(row.endpoint_id)) from None


def _lost(endpoint_id: UUID) -> str:
    return (
        "Append the key it was sealed with to HEALTH_ENCRYPTION_KEY, after a comma. If that is lost: "
        f"DELETE /v1/webhook-endpoints/{endpoint_id} and create it again, with a new secret for its receiver"
    )


async def _lock(connection: AsyncConnection) -> list[SealedRow]:
    """All rows, locked until the transaction ends."""
    query = select(table.c.id, *(table.c[name] for name in SEALED_COLUMNS)).order_by(table.c.id).with_for_update()
    rows = (await connection.execute(query)).mappings()
    return [SealedRow(row["id"], {name: row[name] for name in SEALED_COLUMNS if row[name] is not None}) for row in rows]


async def _replace(connection: AsyncConnection, endpoint_id: UUID, sealed: Mapping[str, bytes]) -> None:
    """Write columns of a row that `_lock` returned. For users of the endpoint nothing changes."""
    await connection.execute(
        update(table).where(table.c.id == endpoint_id).values({**sealed, "updated_at": table.c.updated_at})
    )

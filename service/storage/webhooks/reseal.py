"""Seals everything again with the first of the keys, so that the others can be dropped."""

from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from service.runtime.errors import HealthError
from service.runtime.vault import Vault
from service.storage.webhooks import sealed_columns
from service.storage.webhooks.sealed_columns import SealedRow


class Resealed(NamedTuple):
    """The number of sealed values, and of those that were sealed with another key than the first."""

    total: int
    changed: int


async def reseal(connection: AsyncConnection, vault: Vault) -> Resealed:
    """Seal again, with the vault's first key, all values sealed with another.

    Raises `HealthError`, naming an endpoint whose secrets none of the keys opens; then nothing is changed.
    """
    rows = await sealed_columns.lock(connection)
    fresh = {row.endpoint_id: _fresh(row, vault) for row in rows}
    for endpoint_id, columns in fresh.items():
        if columns:
            await sealed_columns.replace(connection, endpoint_id, columns)
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

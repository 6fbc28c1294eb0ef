"""The parts of a digest for each endpoint: its own, without anything that it was sent otherwise."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ARRAY, Text, Uuid, bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.storage.alerts.routing import DIGEST, filter_condition, type_condition


class EndpointCrossings(NamedTuple):
    """The numbers of a rule's alerts that began and ended, among those that an endpoint gets in the digest."""

    endpoint_id: UUID
    rule: str
    firing: int
    resolved: int


_CROSSINGS = text("""
    SELECT endpoint_id, rule, count(*) FILTER (WHERE state = 'firing') AS firing,
           count(*) FILTER (WHERE state = 'resolved') AS resolved
    FROM alerts CROSS JOIN unnest(digest_for) AS endpoint_id
    WHERE digest_id = :id GROUP BY endpoint_id, rule ORDER BY endpoint_id, rule
""")


async def crossings(connection: AsyncConnection, digest: UUID) -> list[EndpointCrossings]:
    """The alerts that endpoints get in a digest, by endpoint and rule."""
    return [EndpointCrossings(*row) for row in await connection.execute(_CROSSINGS, {"id": digest})]


class EndpointMoves(NamedTuple):
    """The number of accounts that moved from band to band, among those that pass an endpoint's filters.

    `of_all` means that it has no filters.
    """

    endpoint_id: UUID
    band_before: str
    band_after: str
    accounts: int
    of_all: bool


# An endpoint that filters by rule gets no moves: they belong to no rule.
_MOVES = text(f"""
    SELECT endpoint.id, move.band_before, move.band_after, CAST(sum(move.accounts) AS bigint),
           num_nonnulls(endpoint.bands, endpoint.segments, endpoint.stages, endpoint.owners) = 0
    FROM (
        SELECT moves.*, band_after AS band, CAST(NULL AS uuid) AS rule_id, CAST(NULL AS text) AS rule
        FROM digest_moves AS moves WHERE digest_id = :id
    ) AS move
    JOIN webhook_endpoints AS endpoint
        ON endpoint.enabled AND endpoint.target <> ALL(:states)
       AND {type_condition(DIGEST)} AND {filter_condition("move")}
    GROUP BY endpoint.id, move.band_before, move.band_after
    ORDER BY endpoint.id, move.band_before, move.band_after
""").bindparams(bindparam("states", type_=ARRAY(Text)))  # noqa: S608 - made of this package's own text


async def moves(connection: AsyncConnection, digest: UUID, states: Collection[str]) -> list[EndpointMoves]:
    """The moves that endpoints get in a digest, except endpoints whose target is in `states`."""
    return [EndpointMoves(*row) for row in await connection.execute(_MOVES, {"id": digest, "states": list(states)})]


_ENQUEUE = text("""
    INSERT INTO deliveries (id, alert_id, endpoint_id, due_at, created_at, data)
    SELECT gen_random_uuid(), :alert_id, endpoint.id, :now, :now, CAST(part.data AS json)
    FROM unnest(:ids, :data) AS part (endpoint_id, data)
    JOIN webhook_endpoints AS endpoint ON endpoint.id = part.endpoint_id
    WHERE endpoint.enabled
    FOR KEY SHARE OF endpoint
    ON CONFLICT DO NOTHING
""").bindparams(bindparam("ids", type_=ARRAY(Uuid)), bindparam("data", type_=ARRAY(Text)))


async def enqueue(connection: AsyncConnection, alert_id: UUID, parts: Mapping[UUID, str | None], now: datetime) -> int:
    """Save a delivery of a digest's alert for each endpoint: of its part as JSON text, or of the whole if that is None.

    Returns their number; an endpoint that was disabled meanwhile gets none.
    """
    values = {"alert_id": alert_id, "now": now, "ids": list(parts), "data": list(parts.values())}
    return (await connection.execute(_ENQUEUE, values)).rowcount if parts else 0

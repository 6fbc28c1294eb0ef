"""The parts of a digest that endpoints hear: each its own, and nothing that it was told otherwise."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ARRAY, Text, Uuid, bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.storage.alerts.routing import DIGEST, filter_condition, type_condition


class EndpointCrossings(NamedTuple):
    """How many alerts of a rule began and ended, of those that an endpoint hears of in the digest."""

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
    """What endpoints hear of alerts, by endpoint and rule."""
    return [EndpointCrossings(*row) for row in await connection.execute(_CROSSINGS, {"id": digest})]


class EndpointMoves(NamedTuple):
    """How many accounts went from band to band, of those that pass an endpoint's filters.

    `of_all` says that it has no filters.
    """

    endpoint_id: UUID
    band_before: str
    band_after: str
    accounts: int
    of_all: bool


# Where only some rules are wanted, moves are not: they are of no rule.
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
    """What endpoints hear of bands, but for those whose target is in `states`."""
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
    """Write a delivery of a digest's alert for each endpoint: of its part as JSON text, or the whole if that is None.

    How many there are; an endpoint that was disabled meanwhile gets none.
    """
    values = {"alert_id": alert_id, "now": now, "ids": list(parts), "data": list(parts.values())}
    return (await connection.execute(_ENQUEUE, values)).rowcount if parts else 0

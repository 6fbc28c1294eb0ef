"""Routes alerts to endpoints, in the transaction that writes the alert.

An alert goes to the enabled endpoints whose filters it passes. The end of an episode goes to all that got its
beginning, whatever their filters are by then. An alert in a digest is sent alone only to endpoints that need it.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import ARRAY, Text, Uuid, bindparam, insert, text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.runtime.target_kinds import NO_TARGETS, Targets
from service.storage.database.tables import deliveries


def filter_condition(alert: str) -> str:
    """SQL condition: an alert passes the filters of an endpoint, except the one on event types."""
    return f"""(
        (endpoint.rules IS NULL OR CAST({alert}.rule_id AS text) = ANY(endpoint.rules)
         OR {alert}.rule = ANY(endpoint.rules))
        AND (endpoint.bands IS NULL OR {alert}.band = ANY(endpoint.bands))
        AND (endpoint.segments IS NULL OR {alert}.segment = ANY(endpoint.segments))
        AND (endpoint.stages IS NULL OR {alert}.stage = ANY(endpoint.stages))
        AND (endpoint.owners IS NULL OR {alert}.owner = ANY(endpoint.owners))
    )"""


def type_condition(type_: str) -> str:
    """SQL condition: an endpoint takes messages of a type, which is an SQL expression."""
    return f"(endpoint.event_types IS NULL OR {type_} = ANY(endpoint.event_types))"


RESOLVED, DIGEST = "'health.threshold.resolved'", "'health.digest'"

# The lock at the end waits for an endpoint that is being deleted, and omits it; otherwise the foreign key would fail
# the caller.
_ROUTE = text(f"""
WITH new_alert AS MATERIALIZED (
    SELECT alert.id, alert.account_id, alert.rule_id, alert.rule, alert.type, alert.state, alert.quiet,
           alert.data ->> 'band' AS band, account.segment, account.stage, account.owner,
           begun.id AS begun, begun.ends_for, begun.digest_for
    FROM alerts AS alert
    LEFT JOIN accounts AS account USING (account_id)
    LEFT JOIN LATERAL (
        SELECT earlier.id, earlier.ends_for, earlier.digest_for FROM alerts AS earlier
        WHERE earlier.account_id = alert.account_id AND earlier.rule_id = alert.rule_id
          AND earlier.state = 'firing' AND earlier.sequence < alert.sequence
        ORDER BY earlier.sequence DESC LIMIT 1
    ) AS begun ON alert.state = 'resolved'
    WHERE alert.id = ANY(:ids)
),
met AS MATERIALIZED (
    SELECT new_alert.*, endpoint.id AS endpoint_id, endpoint.enabled,
           endpoint.target = ANY(:states) AS keeps_state, endpoint.target = ANY(:people) AS is_read_by_people,
           {filter_condition("new_alert")} AS passes, {type_condition("new_alert.type")} AS takes_it,
           {type_condition(DIGEST)} AS takes_digests,
           {type_condition(RESOLVED)} AS takes_ends,
           EXISTS (
               SELECT FROM deliveries AS first
               WHERE first.alert_id = new_alert.begun AND first.endpoint_id = endpoint.id
           ) AS began_singly
    FROM new_alert JOIN webhook_endpoints AS endpoint
        ON (new_alert.account_id IS NOT NULL OR endpoint.target <> ALL(:states))
       AND endpoint.id IS DISTINCT FROM CAST(:except_endpoint AS uuid)
),
judged AS (
    SELECT met.*,
           endpoint_id = ANY(ends_for)
               OR takes_ends AND (began_singly OR coalesce(endpoint_id = ANY(digest_for), false)) AS is_owed,
           keeps_state AND EXISTS (
               SELECT FROM alerts AS other JOIN deliveries AS sent ON sent.alert_id = other.id
               WHERE other.account_id = met.account_id AND sent.endpoint_id = met.endpoint_id
           ) AS keeps_this
    FROM met
),
routed AS MATERIALIZED (
    SELECT id, endpoint_id, state, takes_ends,
           CASE WHEN NOT quiet OR keeps_state
                THEN coalesce(is_owed, false) OR enabled AND (takes_it AND passes OR keeps_this)
                ELSE coalesce(is_owed, false) AND (NOT takes_digests OR began_singly AND NOT is_read_by_people)
           END AS singly,
           quiet AND NOT keeps_state AND enabled AND takes_digests AND (passes OR coalesce(is_owed, false)) AS summed_up
    FROM judged
),
noted AS (
    UPDATE alerts SET ends_for = hearing.ends_for, digest_for = hearing.digest_for
    FROM (
        SELECT id, array_agg(endpoint_id) FILTER (WHERE state = 'firing' AND takes_ends) AS ends_for,
               array_agg(endpoint_id) FILTER (WHERE NOT coalesce(singly, false)) AS digest_for
        FROM routed WHERE singly OR summed_up GROUP BY id
    ) AS hearing
    WHERE alerts.id = hearing.id
)
INSERT INTO deliveries (id, alert_id, endpoint_id, due_at, created_at)
SELECT gen_random_uuid(), routed.id, endpoint_id, :now, :now
FROM routed JOIN webhook_endpoints AS endpoint ON endpoint.id = endpoint_id
WHERE singly
FOR KEY SHARE OF endpoint
ON CONFLICT DO NOTHING
""").bindparams(  # noqa: S608 - made of this module's own text
    bindparam("ids", type_=ARRAY(Uuid)),
    bindparam("states", type_=ARRAY(Text)),
    bindparam("people", type_=ARRAY(Text)),
)


async def enqueue(
    connection: AsyncConnection,
    alert_ids: Sequence[UUID],
    now: datetime,
    *,
    targets: Targets = NO_TARGETS,
    except_endpoint: UUID | None = None,
) -> int:
    """Save one delivery per alert and endpoint that it goes to; returns the number of new ones.

    For alerts in digests, it records which endpoints get them there. Alerts that aren't about a single account go to
    no target that stores a state, and none to `except_endpoint`. Call it in the alerts' own transaction. Repeating it
    adds nothing.
    """
    values = {"states": list(targets.states), "people": list(targets.people), "except_endpoint": except_endpoint}
    return (await connection.execute(_ROUTE, {"ids": list(alert_ids), "now": now, **values})).rowcount


async def enqueue_for(connection: AsyncConnection, alert_id: UUID, endpoint_id: UUID, now: datetime) -> UUID:
    """Save the delivery of an alert to one endpoint, whatever its filters; returns the delivery's id."""
    delivery_id = uuid4()
    row = {"id": delivery_id, "alert_id": alert_id, "endpoint_id": endpoint_id, "due_at": now, "created_at": now}
    await connection.execute(insert(deliveries).values(row))
    return delivery_id

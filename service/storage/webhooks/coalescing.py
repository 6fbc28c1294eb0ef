"""Coalesces deliveries to endpoints that store a state, not a story: only the newest about one thing is sent.

That thing is an account, which is sent once a minute, or an incident, which is a rule and an account, and is sent at
once. The newest is the one with the highest `sequence`. Older ones are superseded, whatever happened to the newest: an
attempt that seemed to fail may have arrived. The newest waits while another is being sent, or the older might arrive
last; that of an account also waits until a minute has passed since the last success there.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from service.runtime.target_kinds import Scope

PAUSE = timedelta(seconds=60)
"""The time between two updates of an account at one endpoint."""

RECHECK_AFTER = timedelta(seconds=1)
"""The delay before checking again while another process is sending for the account."""

COALESCING = """
WITH subject AS (
    SELECT DISTINCT delivery.endpoint_id, alert.account_id,
           CASE WHEN endpoint.target = ANY(CAST(:by_rule AS text[])) THEN alert.rule_id END AS rule_id
    FROM deliveries AS delivery JOIN alerts AS alert ON alert.id = delivery.alert_id
    JOIN webhook_endpoints AS endpoint ON endpoint.id = delivery.endpoint_id
    WHERE delivery.id = ANY(CAST(:ids AS uuid[]))
),
known AS MATERIALIZED (
    SELECT delivery.id, subject.endpoint_id, subject.account_id, subject.rule_id, alert.sequence, delivery.state,
           delivery.finished_at
    FROM subject
    JOIN alerts AS alert ON alert.account_id = subject.account_id
     AND (subject.rule_id IS NULL OR alert.rule_id = subject.rule_id)
    JOIN deliveries AS delivery ON delivery.alert_id = alert.id AND delivery.endpoint_id = subject.endpoint_id
    WHERE delivery.state IN ('pending', 'succeeded', 'failed')
),
ours AS MATERIALIZED (
    SELECT delivery.id
    FROM deliveries AS delivery
    WHERE delivery.id IN (SELECT id FROM known WHERE state = 'pending') AND delivery.state = 'pending'
      AND (delivery.leased_until IS NULL OR delivery.leased_until <= :now OR delivery.lease = :lease)
    FOR UPDATE SKIP LOCKED
),
summary AS (
    SELECT endpoint_id, account_id, rule_id, max(sequence) AS newest,
           bool_or(state = 'pending' AND ours.id IS NULL) AS sending,
           max(finished_at) FILTER (WHERE state = 'succeeded' AND rule_id IS NULL) AS last_success
    FROM known LEFT JOIN ours USING (id)
    GROUP BY endpoint_id, account_id, rule_id
),
decided AS (
    SELECT ours.id, known.sequence < summary.newest AS superseded,
           CASE WHEN sending THEN CAST(:look_again_at AS timestamptz)
                WHEN last_success > :quiet_since THEN last_success + CAST(:pause AS interval)
                ELSE :now END AS free_at
    FROM ours JOIN known USING (id)
    JOIN summary ON summary.endpoint_id = known.endpoint_id AND summary.account_id = known.account_id
     AND summary.rule_id IS NOT DISTINCT FROM known.rule_id
),
changed AS (
    UPDATE deliveries SET
        state = CASE WHEN superseded THEN 'superseded' ELSE 'pending' END,
        finished_at = CASE WHEN superseded THEN CAST(:now AS timestamptz) END,
        due_at = CASE WHEN superseded THEN due_at ELSE greatest(due_at, free_at) END,
        lease = CASE WHEN NOT superseded AND greatest(due_at, free_at) <= :now THEN CAST(:lease AS uuid) END,
        leased_until = CASE WHEN NOT superseded AND greatest(due_at, free_at) <= :now
                            THEN CAST(:leased_until AS timestamptz) END
    FROM decided WHERE deliveries.id = decided.id
    RETURNING deliveries.*
),
claimed AS (
    SELECT * FROM changed WHERE lease = :lease
    UNION ALL
    SELECT delivery.*
    FROM deliveries AS delivery JOIN alerts AS alert ON alert.id = delivery.alert_id
    WHERE delivery.id = ANY(CAST(:ids AS uuid[])) AND alert.account_id IS NULL
)
"""
"""The start of a statement: from deliveries `:ids`, just claimed with `:lease`, to those that are to be sent.

`ours` are the pending ones of their accounts, or incidents, that no other process is sending or claiming at this
moment; they are locked, and nobody is waited for. If the newest was not claimed with the older ones, it is claimed in
their place, so that no more are sent than were claimed. A newest that was due but has to wait is released.
"""


def parameters(scopes: Mapping[str, Scope], now: datetime) -> dict[str, Any]:
    """The parameters of `COALESCING` that follow from `now`, and from the scope of each target's state."""
    by_rule = [target for target, scope in scopes.items() if scope == "incident"]
    times = {"now": now, "look_again_at": now + RECHECK_AFTER, "quiet_since": now - PAUSE, "pause": PAUSE}
    return {"by_rule": by_rule, **times}

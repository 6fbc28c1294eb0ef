"""Where an endpoint holds a state and not a story: of an account's deliveries only the newest goes out, once a minute.

The newest is the one with the highest `sequence`. What is older than one that is pending or has succeeded is
superseded. The newest waits while another of its account is being sent, or else the older might arrive last, and
until a minute has passed since its account's last success there.
"""

from datetime import datetime, timedelta

PAUSE = timedelta(seconds=60)
"""Between two updates of an account at one endpoint."""

LOOK_AGAIN = timedelta(seconds=1)
"""When to look again after somebody who is sending for the account."""

COALESCING = """
WITH account AS (
    SELECT DISTINCT delivery.endpoint_id, alert.account_id
    FROM deliveries AS delivery JOIN alerts AS alert ON alert.id = delivery.alert_id
    WHERE delivery.id = ANY(CAST(:ids AS uuid[]))
),
known AS MATERIALIZED (
    SELECT delivery.id, account.endpoint_id, account.account_id, alert.sequence, delivery.state, delivery.finished_at
    FROM account
    JOIN alerts AS alert ON alert.account_id = account.account_id
    JOIN deliveries AS delivery ON delivery.alert_id = alert.id AND delivery.endpoint_id = account.endpoint_id
    WHERE delivery.state IN ('pending', 'succeeded')
),
ours AS MATERIALIZED (
    SELECT delivery.id
    FROM deliveries AS delivery
    WHERE delivery.id IN (SELECT id FROM known WHERE state = 'pending') AND delivery.state = 'pending'
      AND (delivery.leased_until IS NULL OR delivery.leased_until <= :now OR delivery.lease = :lease)
    FOR UPDATE SKIP LOCKED
),
standing AS (
    SELECT endpoint_id, account_id, max(sequence) AS newest,
           bool_or(state = 'pending' AND ours.id IS NULL) AS sending,
           max(finished_at) FILTER (WHERE state = 'succeeded') AS last_success
    FROM known LEFT JOIN ours USING (id)
    GROUP BY endpoint_id, account_id
),
decided AS (
    SELECT id, sequence < newest AS superseded,
           CASE WHEN sending THEN CAST(:look_again_at AS timestamptz)
                WHEN last_success > :quiet_since THEN last_success + CAST(:pause AS interval)
                ELSE :now END AS free_at
    FROM ours JOIN known USING (id) JOIN standing USING (endpoint_id, account_id)
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
"""The start of a statement: from deliveries `:ids` that were just claimed with `:lease` to those that are to be sent.

`ours` are the pending ones of their accounts that nobody else is sending or claiming at this moment, and they are
locked; nobody is waited for. If an account's newest has not been claimed with the older ones, it is claimed in their
place, so that no more are sent than were claimed. A newest that was due but has to wait is given back.
"""


def times(now: datetime) -> dict[str, datetime | timedelta]:
    """The parameters of `COALESCING` that follow from `now`."""
    return {"now": now, "look_again_at": now + LOOK_AGAIN, "quiet_since": now - PAUSE, "pause": PAUSE}

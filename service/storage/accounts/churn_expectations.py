"""Expectations of churn: a row per account and outcome, noted on the day of its decision, settled when that has
ended, and compared with `churned_on` later.

An outcome is a renewal, and the decision `lead_days` of the scorecard's calibration before it. With `horizon_days`,
outcomes are calendar months, and the probability is that of a month at the same rate: 1 - (1 - p) ^ (days / horizon).
"""

from datetime import date
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from scoring.backtest.attribute_outcomes import SAME_END_DAYS
from scoring.backtest.calibration_drift import ExpectedChurn

CATCH_UP_DAYS = 7
"""Days after a decision on which it is still noted, if no sweeper ran before: history has the score of that day."""
TIMEOUT_MS = 60_000
_LOCK_KEY = 0x636875726E  # "churn"

# Accounts are found by dates that have no index; everything else of the sweeper goes by keys.
_LIMITS = text("""
    SELECT set_config('statement_timeout', :timeout, true), set_config('enable_seqscan', 'on', true),
           set_config('enable_hashjoin', 'on', true)
""")


async def acquire_lock(connection: AsyncConnection) -> bool:
    """Keep other sweepers from the same work until the transaction ends; False if one is at it."""
    await connection.execute(_LIMITS, {"timeout": f"{TIMEOUT_MS}ms"})
    return bool(
        (await connection.execute(text("SELECT pg_try_advisory_xact_lock(:lock)"), {"lock": _LOCK_KEY})).scalar()
    )


async def any_calibrated(connection: AsyncConnection) -> bool:
    """True if a scorecard in force is calibrated: only then is there something to note."""
    newest = "SELECT DISTINCT ON (name) calibration FROM scorecards ORDER BY name, version DESC"
    found = await connection.execute(text(f"SELECT count(calibration) > 0 FROM ({newest}) AS newest"))  # noqa: S608 - own text
    return bool(found.scalar())


class Noted(NamedTuple):
    """The number of rows, and the last account of them."""

    rows: int
    last: str | None


# A renewal that is moved by no more than the days in which a churn belongs to it is the same one. Accounts that others
# have locked are being changed, or erased: they are left for the next time.
_NOTE = text(f"""
    WITH noted AS (
        INSERT INTO churn_expectations (account_id, outcome_on, decided_on, first_day, last_day)
        SELECT s.account_id, due.outcome_on, due.outcome_on - due.lead, due.first_day, due.last_day
        FROM scores s
        JOIN accounts a ON a.account_id = s.account_id
        JOIN scorecards card ON card.name = s.scorecard AND card.version = s.scorecard_version
        CROSS JOIN LATERAL (
            SELECT CAST(card.calibration ->> 'lead_days' AS int) AS days, card.calibration ->> 'horizon_days' AS horizon
        ) AS lead
        CROSS JOIN LATERAL (
            SELECT a.renews_on AS outcome_on, lead.days AS lead, a.renews_on - lead.days + 1 AS first_day,
                   a.renews_on + {SAME_END_DAYS} AS last_day
            WHERE lead.horizon IS NULL
                  AND a.renews_on - lead.days BETWEEN CAST(:today AS date) - {CATCH_UP_DAYS} AND CAST(:today AS date)
            UNION ALL
            SELECT CAST(month AS date), lead.days, CAST(month AS date), CAST(month + interval '1 month' AS date) - 1
            FROM generate_series(date_trunc('month', CAST(CAST(:today AS date) + lead.days AS timestamp)),
                                 CAST(CAST(:today AS date) + lead.days - {CATCH_UP_DAYS} AS timestamp),
                                 interval '-1 month') AS month
            WHERE lead.horizon IS NOT NULL
        ) AS due
        WHERE card.calibration IS NOT NULL AND s.account_id > :cursor
              AND coalesce(a.churned_on >= due.first_day, true)
              AND NOT EXISTS (
                  SELECT FROM churn_expectations AS known
                  WHERE known.account_id = s.account_id
                        AND known.outcome_on >= due.outcome_on - {SAME_END_DAYS}
                        AND known.outcome_on <= due.outcome_on + {SAME_END_DAYS}
                  OFFSET 0  -- one look into the index for each of the few that are due, not a join of all
              )
        ORDER BY s.account_id LIMIT :limit FOR KEY SHARE OF s SKIP LOCKED
        ON CONFLICT (account_id, outcome_on) DO NOTHING
        RETURNING account_id
    )
    SELECT count(*), max(account_id) FROM noted
""")  # noqa: S608 - made of this package's own numbers


async def note(connection: AsyncConnection, today: date, cursor: str, limit: int) -> Noted:
    """Note up to `limit` outcomes whose decision is today, or has been lately, of accounts after `cursor`.

    Leaves those that are noted, and accounts that left before.
    """
    values = {"today": today, "cursor": cursor, "limit": limit}
    return Noted._make((await connection.execute(_NOTE, values)).one())


# The calibration of the version that gave the score; with other days of lead, or another kind of outcome, its
# probability is of something else than what was noted.
_SETTLE = text(f"""
    UPDATE churn_expectations AS e
    SET settled = true, scorecard = closing.scorecard, scorecard_version = closing.scorecard_version,
        probability = closing.probability
    FROM (
        SELECT open.account_id, open.outcome_on, run.scorecard, run.scorecard_version, CASE
            WHEN CAST(card.calibration ->> 'lead_days' AS int) <> open.outcome_on - open.decided_on THEN NULL
            WHEN card.calibration ->> 'horizon_days' IS NULL THEN
                CASE WHEN open.last_day = open.outcome_on + {SAME_END_DAYS} THEN raw.probability END
            WHEN open.last_day <> open.outcome_on + {SAME_END_DAYS} THEN
                1 - power(1 - raw.probability, (open.last_day - open.first_day + 1)
                          / CAST(card.calibration ->> 'horizon_days' AS float8))
            END AS probability
        FROM churn_expectations AS open
        JOIN scores s ON s.account_id = open.account_id
        LEFT JOIN LATERAL (
            SELECT s.score, s.scorecard, s.scorecard_version WHERE coalesce(s.since, s.day) <= open.decided_on
            UNION ALL
            (SELECT h.score, h.scorecard, h.scorecard_version FROM history h
             WHERE h.account_id = open.account_id AND h.day >= open.decided_on AND h.since <= open.decided_on
                   AND s.since > open.decided_on
             ORDER BY h.day LIMIT 1)
        ) AS run ON true
        LEFT JOIN scorecards card ON card.name = run.scorecard AND card.version = run.scorecard_version
        CROSS JOIN LATERAL (SELECT analytics.churn_probability(run.score, card.calibration) AS probability) AS raw
        WHERE NOT open.settled AND open.decided_on < :today AND s.day >= open.decided_on
        LIMIT :limit FOR UPDATE OF open SKIP LOCKED
    ) AS closing
    WHERE e.account_id = closing.account_id AND e.outcome_on = closing.outcome_on
""")  # noqa: S608 - as above


async def settle(connection: AsyncConnection, today: date, limit: int) -> int:
    """Give up to `limit` noted outcomes the probability at the closing score of their decision's day, if it has ended.

    Returns their number. An account that wasn't evaluated since is left until it is.
    """
    return (await connection.execute(_SETTLE, {"today": today, "limit": limit})).rowcount


class ChurnOfMonth(NamedTuple):
    """The outcomes of a month by the calibration of a scorecard."""

    scorecard: str
    month: date
    churn: ExpectedChurn


# Only by the calibration in force: when there is another, what the one before expected no longer matters.
_BY_MONTH = text("""
    SELECT e.scorecard, CAST(date_trunc('month', CAST(e.outcome_on AS timestamp)) AS date), count(*),
           sum(e.probability), sum(e.probability * (1 - e.probability)),
           count(*) FILTER (WHERE a.churned_on BETWEEN e.first_day AND e.last_day)
    FROM churn_expectations AS e
    JOIN accounts AS a ON a.account_id = e.account_id
    JOIN scorecards AS card ON card.name = e.scorecard AND card.version = e.scorecard_version
    JOIN (SELECT DISTINCT ON (name) name, calibration FROM scorecards ORDER BY name, version DESC) AS newest
         ON newest.name = card.name AND newest.calibration = card.calibration
    WHERE e.probability IS NOT NULL AND e.outcome_on >= :first AND e.outcome_on < :end
          AND coalesce(a.churned_on >= e.first_day, true)
    GROUP BY 1, 2 ORDER BY 1, 2
""")


async def by_month(connection: AsyncConnection, first: date, end: date) -> list[ChurnOfMonth]:
    """The outcomes from the day `first` on and before `end`, by scorecard and month, without accounts that had left
    before.
    """
    await connection.execute(_LIMITS, {"timeout": f"{TIMEOUT_MS}ms"})
    rows = await connection.execute(_BY_MONTH, {"first": first, "end": end})
    return [ChurnOfMonth(scorecard, month, ExpectedChurn(*churn)) for scorecard, month, *churn in rows]


_FORGET = text("""
    DELETE FROM churn_expectations
    WHERE ctid = ANY(ARRAY(SELECT ctid FROM churn_expectations WHERE outcome_on < :first LIMIT :limit))
""")


async def forget(connection: AsyncConnection, first: date, limit: int) -> int:
    """Delete up to `limit` outcomes of days before `first`; returns their number."""
    return (await connection.execute(_FORGET, {"first": first, "limit": limit})).rowcount

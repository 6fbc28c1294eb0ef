"""Counts all accounts by band, segment, stage and ten points of score."""

from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


class PortfolioCell(NamedTuple):
    """The number of accounts that are alike. Band and score include overrides; `tens` is 0 to 9.

    A score of 100 is in the last ten. Without a score `tens` is None; segment and stage may be unknown too. `churned`
    means that they have left, by the database's clock, as in lists.
    """

    band: str
    segment: str | None
    stage: str | None
    tens: int | None
    accounts: int
    churned: bool = False


# No index could be counted instead, so the tables are read from end to end.
_LIMITS = text("""
    SELECT set_config('statement_timeout', :timeout, true), set_config('enable_seqscan', 'on', true),
           set_config('enable_hashjoin', 'on', true), set_config('work_mem', '16MB', true)
""")

_COUNT = text("""
    SELECT band, segment, stage, CASE tens WHEN 10 THEN 9 ELSE tens END AS tens, count(*) AS accounts, churned
    FROM (
        SELECT
            CASE WHEN s.override IS NULL THEN s.band ELSE coalesce((
                SELECT analytics.counting_band(s.band, s.override, c.document) FROM scorecards c
                WHERE c.name = s.scorecard AND c.version = s.scorecard_version
            ), s.band) END AS band,
            a.segment, a.stage,
            CAST(floor(coalesce(CAST(s.override ->> 'score' AS float8), s.score) / 10) AS int) AS tens,
            coalesce(a.churned_on <= CAST(now() AT TIME ZONE 'UTC' AS date), false) AS churned
        FROM scores s LEFT JOIN accounts a USING (account_id)
    ) AS one
    GROUP BY 1, 2, 3, 4, 6
""")


async def count(connection: AsyncConnection, timeout_ms: int) -> list[PortfolioCell]:
    """Count all accounts. If it takes longer, raises an error that `sources.is_timeout` recognises."""
    await connection.execute(_LIMITS, {"timeout": f"{timeout_ms}ms"})
    return list(map(PortfolioCell._make, await connection.execute(_COUNT)))

"""The portfolio without churned accounts, the cause of a digest of rules, and corrected comments."""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

SQL = Path(__file__).parents[1] / "analytics"
COLUMNS = {
    ("alerts", "account_id"): (
        "null where it is about many: a digest, a source that went quiet",
        "null where it is about many or none, or about one that was erased",
    ),
    ("alerts", "quiet"): ("summed up in a digest", "not told for itself: summed up in a digest, or a test"),
    ("digests", "subject"): (
        "what was published; empty for a backfill",
        "what was published or changed; empty for a backfill and a dwell",
    ),
}
"""Before and after, here and below."""
LEFT_OUT = " An account that has left isn't counted from the day churned_on on."
OF_PORTFOLIO = (
    "How many accounts closed each UTC day from from_day to to_day in which band, by the segment, stage and arr that "
    "they have today."
)
OF_DAILY = (
    "How many accounts closed each of the last 90 UTC days in which band. For other days: "
    "analytics.portfolio(from_day, to_day)."
)
VIEWS = {
    "COLUMN analytics.alerts.account_id": (
        "The account; null where the alert is about many or none.",
        "The account; null where the alert is about many or none, or about one that was erased.",
    ),
    "COLUMN analytics.alerts.quiet": (
        "Told to nobody but in a digest: it came of a backfill or a new scorecard.",
        "Not told for itself: summed up in a digest, or a test of an endpoint.",
    ),
    "FUNCTION analytics.portfolio(date, date)": (OF_PORTFOLIO, OF_PORTFOLIO + LEFT_OUT),
    "VIEW analytics.portfolio_daily": (OF_DAILY, OF_DAILY + LEFT_OUT),
}


def upgrade() -> None:
    """No row is rewritten. The version before shows the function's counts, and leaves the column empty."""
    op.add_column(
        "digests",
        sa.Column(
            "change",
            sa.Text(),
            comment="of a rule: created, changed, enabled, disabled or deleted; null where that isn't known",
        ),
    )
    op.get_bind().exec_driver_sql((SQL / "portfolio.sql").read_text())
    _comment(1)


def downgrade() -> None:
    """Churned accounts count again for as long as they are stored; the causes of digests of rules are lost."""
    _comment(0)
    made, _, _ = (SQL / "portfolio_daily.sql").read_text().partition(";\n")
    op.get_bind().exec_driver_sql(made.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"))
    op.drop_column("digests", "change")


def _comment(which: int) -> None:
    for (table, column), comments in COLUMNS.items():
        op.alter_column(table, column, comment=comments[which])
    for name, comments in VIEWS.items():
        quoted = comments[which].replace("'", "''")
        op.get_bind().exec_driver_sql(f"COMMENT ON {name} IS '{quoted}'")

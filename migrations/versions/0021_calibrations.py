"""Scorecards hold a calibration, the views have the probability of churn, and expectations of churn are kept."""

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

SQL = Path(__file__).parents[1] / "analytics"
VIEWS = ("account_health_runs", "account_health_daily", "account_health")
"""In the order in which they build on each other."""

_READERS_OF_FUNCTIONS = """
    SELECT grantee::regrole FROM pg_proc CROSS JOIN aclexplode(proacl)
    WHERE oid = 'analytics.counting_band(text, json, jsonb)'::regprocedure AND grantee NOT IN (0, proowner)
"""
_READERS_OF_VIEWS = """
    SELECT relname, grantee::regrole FROM pg_class CROSS JOIN aclexplode(relacl)
    WHERE oid IN ('analytics.account_health_runs'::regclass, 'analytics.account_health_daily'::regclass,
                  'analytics.account_health'::regclass)
          AND grantee NOT IN (0, relowner) AND privilege_type = 'SELECT'
"""


def upgrade() -> None:
    """No row is rewritten. The version before sees scorecards without their calibration, and scores as before."""
    op.add_column(
        "scorecards",
        sa.Column(
            "calibration",
            JSONB(none_as_null=True),
            comment="that field of the document, which the version before this column doesn't know",
        ),
    )
    op.create_table(
        "churn_expectations",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column(
            "outcome_on",
            sa.Date(),
            nullable=False,
            comment="the renewal; for a calibration with horizon_days the first day of a month",
        ),
        sa.Column("decided_on", sa.Date(), nullable=False, comment="the day whose closing score counts"),
        sa.Column("first_day", sa.Date(), nullable=False, comment="of those on which churn is this outcome"),
        sa.Column("last_day", sa.Date(), nullable=False, comment="of them"),
        sa.Column(
            "settled",
            sa.Boolean(),
            nullable=False,
            server_default=sa.text("false"),
            comment="whether decided_on has ended, so that the rest is known",
        ),
        sa.Column("scorecard", sa.Text()),
        sa.Column("scorecard_version", sa.Integer()),
        sa.Column("probability", sa.Double(), comment="of churn; null where there was no score or no calibration"),
        sa.PrimaryKeyConstraint("account_id", "outcome_on", name=op.f("churn_expectations_pkey")),
        postgresql_with={"fillfactor": 70},
    )
    op.create_index(
        "churn_expectations_open_idx", "churn_expectations", ["decided_on"], postgresql_where=sa.text("NOT settled")
    )
    _run((SQL / "churn_probability.sql").read_text())
    for (reader,) in _rows(_READERS_OF_FUNCTIONS):
        _run(f"GRANT EXECUTE ON FUNCTION analytics.churn_probability(float8, jsonb) TO {reader}")


def downgrade() -> None:
    """The calibrations of scorecards are lost, and so is what was expected to churn. If other views depend on those of
    accounts' health, nothing is dropped: drop those first.
    """
    readers = _rows(_READERS_OF_VIEWS)
    for name in reversed(VIEWS):
        _run(f"DROP VIEW analytics.{name}")
    _run("DROP FUNCTION analytics.churn_probability(float8, jsonb)")
    for name in VIEWS:
        for statement in (SQL / f"{name}.sql").read_text().split(";\n"):
            if "CREATE FUNCTION" not in statement and statement.strip():
                _run(statement)
    for view, reader in readers:
        _run(f"GRANT SELECT ON analytics.{view} TO {reader}")
    op.drop_table("churn_expectations")
    op.drop_column("scorecards", "calibration")


def _run(statements: str) -> None:
    for statement in statements.split(";\n"):
        if statement.strip():
            op.get_bind().exec_driver_sql(statement)


def _rows(query: str) -> list[Any]:
    return list(op.get_bind().exec_driver_sql(query))

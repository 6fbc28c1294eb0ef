"""Views for analysts, in the schema `analytics`; deploy/analytics.md describes them.

They read the tables as their owner, so their readers need no rights on the tables. Reports rely on their columns: a
later migration adds some at the end, with CREATE OR REPLACE VIEW, which keeps the grants. One that drops or changes a
column of a table that is read here has to drop the views before, and create them again."""

from pathlib import Path

from alembic import op

from service.runtime.errors import HealthError

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

SQL = Path(__file__).parents[1] / "analytics"
FILES = (
    "account_health_runs",
    "account_health_daily",
    "account_health",
    "account_measures",
    "alerts",
    "portfolio_daily",
)
"""In the order in which they build on each other."""
MADE = (
    "FUNCTION analytics.counting_band(text, json, jsonb)",
    "FUNCTION analytics.override_until(json)",
    "VIEW analytics.account_health_runs",
    "VIEW analytics.account_health_daily",
    "VIEW analytics.account_health",
    "VIEW analytics.account_measures",
    "VIEW analytics.alerts",
    "FUNCTION analytics.portfolio(date, date)",
    "VIEW analytics.portfolio_daily",
)


def upgrade() -> None:
    """No table is changed or locked. Raises `HealthError` if the user may not create a schema."""
    if not _says("to_regnamespace('analytics') IS NOT NULL"):
        if not _says("has_database_privilege(current_database(), 'CREATE')"):
            user = _says("quote_ident(current_user)")
            raise HealthError(
                f"The database user {user} may not create the schema analytics",
                f"As an administrator of the database run: CREATE SCHEMA analytics AUTHORIZATION {user}",
            )
        op.execute("CREATE SCHEMA analytics")
    for name in FILES:
        for statement in (SQL / f"{name}.sql").read_text().split(";\n"):
            if statement.strip():
                op.get_bind().exec_driver_sql(statement)


def _says(expression: str) -> object:
    return op.get_bind().exec_driver_sql(f"SELECT {expression}").scalar_one()


def downgrade() -> None:
    """Reports on the views fail. If other views depend on them, nothing is dropped: drop those first. After the next
    upgrade readers have no rights until `account-health reader create` has run again.
    """
    for each in reversed(MADE):
        op.execute(f"DROP {each}")
    op.execute("DROP SCHEMA analytics")

"""Scores hold the attributes by which lists are filtered, so that lists read one table only."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

ATTRIBUTES = ("segment", "stage", "owner")


def upgrade() -> None:
    """Postgres rewrites the rows of accounts that have any of these, and locks the table of scores meanwhile: about a
    minute for a million. An earlier version that runs beside this one doesn't keep them up to date.
    """
    for name in ATTRIBUTES:
        op.add_column("scores", sa.Column(name, sa.Text(), comment="as in accounts"))
    op.execute("""
        UPDATE scores SET segment = accounts.segment, stage = accounts.stage, owner = accounts.owner FROM accounts
        WHERE accounts.account_id = scores.account_id
          AND (accounts.segment, accounts.stage, accounts.owner) IS DISTINCT FROM (NULL, NULL, NULL)
    """)
    op.execute("ANALYZE scores")  # lists ask what the planner expects


def downgrade() -> None:
    """Nothing is lost; lists with filters are slower."""
    for name in reversed(ATTRIBUTES):
        op.drop_column("scores", name)

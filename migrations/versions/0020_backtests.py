"""Back-tests that were asked for over HTTP: what to judge, how far each is, and its report."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """A new table; the version before doesn't know it."""
    op.create_table(
        "backtests",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("request", JSONB, nullable=False, comment="the log, outcomes, scorecards and rules, as given"),
        sa.Column("step", sa.Text(), nullable=False, server_default="", comment="the work under way, in words"),
        sa.Column("done", sa.BigInteger(), nullable=False, server_default="0", comment="rows of the step so far"),
        sa.Column("total", sa.BigInteger(), comment="rows of the step; null where that isn't known"),
        sa.Column("tries", sa.Integer(), nullable=False, server_default="0", comment="runs that were begun"),
        sa.Column("run", sa.Uuid(), comment="the run that may write; another one has taken over otherwise"),
        sa.Column("heard_at", MOMENT, comment="when its run last said that it is there"),
        sa.Column("started_at", MOMENT),
        sa.Column("finished_at", MOMENT),
        sa.Column("problem", sa.Text(), comment="why it failed, with what to do; null unless it did"),
        sa.Column("report", JSONB, comment="null unless it succeeded"),
        sa.Column("created_at", MOMENT, nullable=False, server_default=sa.func.now()),
    )
    op.create_index("backtests_open_idx", "backtests", ["created_at"], postgresql_where=sa.text("finished_at IS NULL"))


def downgrade() -> None:
    """Reports are lost; the same back-tests give them again."""
    op.drop_table("backtests")

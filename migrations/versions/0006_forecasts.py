"""Forecasts: the crossings that silence will cause, per account, and the progress of the cycle through all accounts."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

Instant = sa.DateTime(timezone=True)


def upgrade() -> None:
    """The sweeper fills the table."""
    op.create_table(
        "forecast_crossings",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("rule_id", sa.Uuid(), nullable=False),
        sa.Column(
            "day", sa.Date(), nullable=False, comment="the first on which the rule fires if the account is silent"
        ),
        sa.Column("score", sa.Double(), comment="the account's on that day"),
        sa.Column("made_at", Instant, nullable=False),
        sa.PrimaryKeyConstraint("account_id", "rule_id", name=op.f("forecast_crossings_pkey")),
        postgresql_with={"fillfactor": 70},
    )
    op.create_index(
        op.f("forecast_crossings_day_account_id_rule_id_idx"), "forecast_crossings", ["day", "account_id", "rule_id"]
    )
    op.create_table(
        "forecast_cycle",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "cursor",
            sa.Text(),
            server_default="",
            nullable=False,
            comment="the last account that was forecast; empty between two cycles",
        ),
        sa.Column("began_at", Instant, nullable=False),
        sa.Column("due_at", Instant, nullable=False, comment="until then forecasters rest"),
        sa.CheckConstraint("id = 1", name=op.f("forecast_cycle_one_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("forecast_cycle_pkey")),
    )


def downgrade() -> None:
    """Forecasts are gone; they are made again after the next upgrade."""
    op.drop_table("forecast_cycle")
    op.drop_table("forecast_crossings")

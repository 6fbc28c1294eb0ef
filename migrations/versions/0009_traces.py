"""Alerts store the trace of the event that caused them, which their deliveries continue."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Existing alerts have none. The column is nullable, so no row is rewritten."""
    op.add_column(
        "alerts",
        sa.Column("traceparent", sa.Text(), comment="W3C context of the event that it came of, if that was traced"),
    )


def downgrade() -> None:
    """Alerts lose their traces; their deliveries begin new ones."""
    op.drop_column("alerts", "traceparent")

"""Alerts keep the trace of the event that they came of, so that their deliveries go on with it."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Alerts so far have none. The column is null at first, so no row is written anew."""
    op.add_column(
        "alerts",
        sa.Column("traceparent", sa.Text(), comment="W3C context of the event that it came of, if that was traced"),
    )


def downgrade() -> None:
    """Alerts forget their traces; their deliveries begin new ones."""
    op.drop_column("alerts", "traceparent")

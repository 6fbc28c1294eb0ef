"""Progress stores the last sign of life of a partition's consumer: the API reports when folding stands still."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A column without a default: nothing is rewritten, and a consumer of the version before leaves it as it is."""
    op.add_column(
        "progress",
        sa.Column(
            "heard_at",
            sa.DateTime(timezone=True),
            comment="when its owner last said that it is there; null if none ever has",
        ),
    )


def downgrade() -> None:
    """A consumer that is gone is no longer reported."""
    op.drop_column("progress", "heard_at")

"""Progress knows when a partition's consumer was heard of last: the API says when folding stands still."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A column without a default: nothing is written anew, and a consumer of the version before leaves it as it is."""
    op.add_column(
        "progress",
        sa.Column(
            "heard_at",
            sa.DateTime(timezone=True),
            comment="when its owner last said that it is there; null if none ever has",
        ),
    )


def downgrade() -> None:
    """That a consumer is away is no longer told."""
    op.drop_column("progress", "heard_at")

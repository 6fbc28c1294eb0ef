"""Progress stores the number of partitions of its topic: after some are added, copies of earlier events may count
twice.
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Two columns without a default: nothing is rewritten."""
    op.add_column(
        "progress",
        sa.Column("topic_partitions", sa.Integer(), comment="how many its topic had when it was claimed last"),
    )
    op.add_column(
        "progress",
        sa.Column(
            "partitions_added_at",
            sa.DateTime(timezone=True),
            comment="when a consumer found that its topic had got more; null if it never has",
        ),
    )


def downgrade() -> None:
    """Added partitions are no longer noticed, and no longer warned about."""
    op.drop_column("progress", "partitions_added_at")
    op.drop_column("progress", "topic_partitions")

"""Dead letters remember whether they were relayed to their dead-letter topic."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, and an index of dead letters that still have to be relayed."""
    op.add_column(
        "dead_letters",
        sa.Column(
            "relayed_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when it was published to <topic>.dead-letters",
        ),
    )
    op.create_index(
        "dead_letters_to_relay_idx",
        "dead_letters",
        ["topic", "id"],
        unique=False,
        postgresql_where=sa.text("relayed_at IS NULL"),
    )


def downgrade() -> None:
    """The record of relayed dead letters is lost: after the next upgrade all of them are published again, if
    HEALTH_DEAD_LETTER_TOPICS is on.
    """
    op.drop_index("dead_letters_to_relay_idx", table_name="dead_letters")
    op.drop_column("dead_letters", "relayed_at")

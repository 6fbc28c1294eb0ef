"""History marks the rows that were replayed from loaded events, so that they can be told from live ones."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A column with a constant default: no row is rewritten. The version before writes live rows only."""
    op.add_column(
        "history",
        sa.Column(
            "replayed",
            sa.Boolean(),
            nullable=False,
            server_default=sa.false(),
            comment="worked out from loaded events, of days before the account was live",
        ),
    )


def downgrade() -> None:
    """Replayed days stay, and look like live ones."""
    op.drop_column("history", "replayed")

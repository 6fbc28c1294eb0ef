"""Records that were refused because of a timestamp ahead of the clock stay refused when their log is read again."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a table, which earlier versions don't need."""
    op.create_table(
        "refused_stamps",
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("stamp_ms", sa.BigInteger(), nullable=False, comment="the record's timestamp"),
        sa.PrimaryKeyConstraint("topic", "partition", "offset", "stamp_ms", name=op.f("refused_stamps_pkey")),
    )


def downgrade() -> None:
    """Refused timestamps are forgotten: such a record is accepted if its log is read again once that time has come."""
    op.drop_table("refused_stamps")

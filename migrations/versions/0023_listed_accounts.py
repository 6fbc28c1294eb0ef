"""Lists of accounts have a table of their own, which is written only when what they show has changed."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

TABLE = "listed_accounts"
INDEXES = (["band", "score", "account_id", "segment", "stage", "owner"], ["changed_at", "account_id"])


def upgrade() -> None:
    """The table is filled from `scores` and `accounts` before it gets its indexes: some ten
    seconds for a million.

    Nobody waits meanwhile. The version before doesn't keep it up to date; the sweeper mends what differs, at its start
    and every hour.
    """
    op.create_table(
        TABLE,
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("score", sa.Double(), comment="within a tenth of a point of that in scores"),
        sa.Column("band", sa.Text(), nullable=False),
        *(sa.Column(name, sa.Text(), comment="as in accounts") for name in ("segment", "stage", "owner")),
        sa.Column(
            "changed_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="when the band or the tenth of a point of the score last changed, or the account was created",
        ),
    )
    op.execute("""
        INSERT INTO listed_accounts (account_id, score, band, segment, stage, owner, changed_at)
        SELECT account_id, s.score, s.band, a.segment, a.stage, a.owner, coalesce(s.evaluated_at, now())
        FROM scores s JOIN accounts a USING (account_id)
    """)
    op.create_primary_key(op.f("listed_accounts_pkey"), TABLE, ["account_id"])
    for columns in INDEXES:
        op.create_index(op.f("_".join([TABLE, *columns, "idx"])), TABLE, columns)
    op.execute("ANALYZE listed_accounts")


def downgrade() -> None:
    """Nothing is lost but the times at which scores last changed."""
    op.drop_table(TABLE)

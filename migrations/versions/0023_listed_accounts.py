"""Lists of accounts have a table of their own, which is written only when what they show has changed."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

TABLE = "listed_accounts"
INDEXES = {
    "listed_accounts_band_score_account_id_segment_stage_owner_idx": [
        "band",
        "score",
        "account_id",
        "segment",
        "stage",
        "owner",
    ],
    "listed_accounts_changed_at_account_id_band_segment_stage_ow_idx": [
        "changed_at",
        "account_id",
        "band",
        "segment",
        "stage",
        "owner",
    ],
}
CHURNED = "accounts_churned_on_idx"


def upgrade() -> None:
    """The table is filled from `scores` and `accounts` before it gets its indexes: some ten seconds for a million.

    Nobody waits meanwhile; writers do at the end, for a second or two. The version before doesn't keep it up to date:
    the sweeper mends what differs, at its start and every hour.
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
    for name, columns in INDEXES.items():
        op.create_index(op.f(name), TABLE, columns)
    op.execute("ANALYZE listed_accounts")
    # In the order in which the service locks them: who writes accounts has locked scores before.
    op.execute("LOCK TABLE scores IN EXCLUSIVE MODE")
    op.create_index(op.f(CHURNED), "accounts", ["churned_on"], postgresql_where=sa.text("churned_on IS NOT NULL"))


def downgrade() -> None:
    """Nothing is lost but the times at which scores last changed."""
    op.drop_index(op.f(CHURNED), "accounts")
    op.drop_table(TABLE)

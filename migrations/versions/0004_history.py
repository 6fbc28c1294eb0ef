"""Scores over time: history with its journal, overrides, digests, re-evaluations, quiet sources."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

Instant = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Accounts keep their scores; their history begins now."""
    _history()
    _digests()
    _alerts_and_rules()
    _sources()


def _history() -> None:
    op.create_table(
        "history",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False, comment="the last day that the row is of"),
        sa.Column(
            "since", sa.Date(), nullable=False, comment="the first: from then to `day` all measures scored the same"
        ),
        sa.Column("score", sa.Double()),
        sa.Column("band", sa.Text(), nullable=False),
        sa.Column("coverage", sa.Double(), nullable=False),
        sa.Column("scorecard", sa.Text(), nullable=False),
        sa.Column("scorecard_version", sa.Integer(), nullable=False),
        sa.Column("readings", postgresql.JSON(), nullable=False, comment="as in scores, on `day`"),
        sa.Column(
            "journal", sa.LargeBinary(), comment="what happened on `since`, by cause: scoring/history/journal.py"
        ),
        sa.Column("override", postgresql.JSON()),
        sa.PrimaryKeyConstraint("account_id", "day", name=op.f("history_pkey")),
        postgresql_partition_by="RANGE (day)",
    )
    op.execute("CREATE TABLE history_default PARTITION OF history DEFAULT")
    op.add_column(
        "scores",
        sa.Column(
            "since", sa.Date(), comment="the first day on which all measures scored as they do; null until evaluated"
        ),
    )
    op.add_column(
        "scores",
        sa.Column(
            "journal", sa.LargeBinary(), comment="what happened on that day, by cause: scoring/history/journal.py"
        ),
    )
    op.add_column(
        "scores",
        sa.Column(
            "override",
            postgresql.JSON(),
            comment="a score or band by hand: score, band, reason, author, set_at, expires_at",
        ),
    )
    op.execute("UPDATE scores SET since = day")


def _digests() -> None:
    op.create_table(
        "digests",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False, comment="scorecard, backfill or dwell"),
        sa.Column("subject", sa.Text(), nullable=False, comment="what was published; empty for a backfill"),
        sa.Column("opened_at", Instant, nullable=False),
        sa.Column("touched_at", Instant, nullable=False, comment="when an alert was last added to it"),
        sa.Column("closed_at", Instant, comment="when it was told"),
        sa.CheckConstraint("cause IN ('scorecard', 'backfill', 'dwell')", name=op.f("digests_cause_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("digests_pkey")),
    )
    op.create_index(
        "digests_open_idx",
        "digests",
        ["cause"],
        unique=True,
        postgresql_where=sa.text("closed_at IS NULL AND cause <> 'scorecard'"),
    )
    op.create_table(
        "digest_moves",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("digest_id", sa.Uuid(), nullable=False),
        sa.Column("band_before", sa.Text(), nullable=False),
        sa.Column("band_after", sa.Text(), nullable=False),
        sa.Column("accounts", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["digest_id"], ["digests.id"], name=op.f("digest_moves_digest_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("digest_moves_pkey")),
    )
    op.create_index(op.f("digest_moves_digest_id_idx"), "digest_moves", ["digest_id"])
    op.create_table(
        "reevaluations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False, comment="scorecard or rule"),
        sa.Column("subject", sa.Text(), nullable=False, comment="what changed"),
        sa.Column("digest_id", sa.Uuid()),
        sa.Column("total", sa.BigInteger(), nullable=False, comment="how many accounts there were at the start"),
        sa.Column("done", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column(
            "cursor", sa.Text(), server_default="", nullable=False, comment="the last account that was judged anew"
        ),
        sa.Column("started_at", Instant, nullable=False),
        sa.Column("finished_at", Instant),
        sa.CheckConstraint("cause IN ('scorecard', 'rule')", name=op.f("reevaluations_cause_check")),
        sa.ForeignKeyConstraint(
            ["digest_id"], ["digests.id"], name=op.f("reevaluations_digest_id_fkey"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("reevaluations_pkey")),
    )
    op.create_index(
        "reevaluations_open_idx", "reevaluations", ["started_at"], postgresql_where=sa.text("finished_at IS NULL")
    )


def _alerts_and_rules() -> None:
    op.alter_column("alerts", "account_id", nullable=True, comment=ABOUT_MANY)
    op.alter_column("alerts", "sequence", nullable=True)
    op.alter_column("alerts", "quiet", comment="told to nobody, but for its digest")
    op.add_column("alerts", sa.Column("digest_id", sa.Uuid(), comment="the digest that it is summed up in"))
    op.add_column("alerts", sa.Column("acknowledged_at", Instant))
    op.add_column("alerts", sa.Column("acknowledged_by", sa.Text()))
    op.add_column("alerts", sa.Column("snoozed_until", Instant))
    op.drop_constraint("alerts_state_check", "alerts")
    op.create_check_constraint(op.f("alerts_state_check"), "alerts", "state IN ('firing', 'resolved', 'digest')")
    op.create_index(
        op.f("alerts_digest_id_idx"), "alerts", ["digest_id"], postgresql_where=sa.text("digest_id IS NOT NULL")
    )
    op.drop_constraint("alert_rules_name_key", "alert_rules")
    op.add_column(
        "alert_rules",
        sa.Column("deleted_at", Instant, comment="deleted rules stay, so that what they fired can be resolved by name"),
    )
    op.create_index(
        op.f("alert_rules_name_idx"),
        "alert_rules",
        ["name"],
        unique=True,
        postgresql_where=sa.text("deleted_at IS NULL"),
    )


ABOUT_MANY = "null where it is about many: a digest, a source that went quiet"


def _sources() -> None:
    op.add_column("usage_states", sa.Column("source", sa.Text(), comment="who sent the newest event"))
    op.create_table(
        "source_days",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column(
            "accounts", sa.BigInteger(), nullable=False, comment="with usage from the source on or after that day"
        ),
        sa.PrimaryKeyConstraint("source", "day", name=op.f("source_days_pkey")),
    )
    op.create_table(
        "source_outages",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column(
            "began_on", sa.Date(), nullable=False, comment="the first day on which most of its accounts were missing"
        ),
        sa.Column("noticed_at", Instant, nullable=False),
        sa.Column("ended_at", Instant),
        sa.PrimaryKeyConstraint("id", name=op.f("source_outages_pkey")),
    )
    op.create_index(
        "source_outages_open_idx",
        "source_outages",
        ["source"],
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL"),
    )


def downgrade() -> None:
    """History, overrides, acknowledgements, snoozes and outages of sources are lost, and so are digests with all alerts
    about many accounts. Deleted rules are gone for good.
    """
    for table in ("source_outages", "source_days"):
        op.drop_table(table)
    op.drop_column("usage_states", "source")
    op.execute("DELETE FROM alert_rules WHERE deleted_at IS NOT NULL")
    op.drop_index("alert_rules_name_idx", "alert_rules")
    op.drop_column("alert_rules", "deleted_at")
    op.create_unique_constraint(op.f("alert_rules_name_key"), "alert_rules", ["name"])
    op.drop_index("alerts_digest_id_idx", "alerts")
    op.execute("DELETE FROM alerts WHERE account_id IS NULL")
    op.drop_constraint("alerts_state_check", "alerts")
    op.create_check_constraint(op.f("alerts_state_check"), "alerts", "state IN ('firing', 'resolved')")
    for column in ("snoozed_until", "acknowledged_by", "acknowledged_at", "digest_id"):
        op.drop_column("alerts", column)
    op.alter_column("alerts", "quiet", comment="came of a backfill: told to nobody")
    op.alter_column("alerts", "sequence", nullable=False)
    op.alter_column("alerts", "account_id", nullable=False, comment=None)
    for table in ("reevaluations", "digest_moves", "digests"):
        op.drop_table(table)
    for column in ("override", "journal", "since"):
        op.drop_column("scores", column)
    op.drop_table("history")

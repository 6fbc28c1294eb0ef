"""Scores store the readings of measures; progress stores a fingerprint of the last record, and the reason of a halt."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SIGNALS = {"usage": "usage_states", "ticket": "ticket_states", "survey": "survey_states"}
Instant = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Move the times of the newest events to the states. The sweeper fills `readings`: every account is due."""
    for signal, table in SIGNALS.items():
        op.add_column(table, sa.Column("newest_at", Instant, comment="time of the newest event"))
        op.execute(
            f"UPDATE {table} SET newest_at = {signal}_at FROM scores WHERE scores.account_id = {table}.account_id"  # noqa: S608
        )
        op.drop_column("scores", f"{signal}_at")
        op.execute(f"ALTER TABLE {table} SET (fillfactor = 70)")
    op.drop_column("scores", "measures")
    op.add_column(
        "scores",
        sa.Column(
            "readings", sa.JSON(), comment="per measure of the scorecard: its value, or the reason that it is missing"
        ),
    )
    op.execute("ALTER TABLE scores SET (fillfactor = 70)")
    op.execute("UPDATE scores SET due_at = '-infinity'")
    op.add_column(
        "progress",
        sa.Column(
            "fingerprint",
            sa.BigInteger(),
            comment="of the last folded record, to know it again; null if there is none",
        ),
    )
    op.add_column(
        "progress",
        sa.Column("halted", sa.Text(), comment="why it is not folded until an operator decides; null while it is"),
    )
    op.drop_constraint("dead_letters_topic_partition_offset_key", "dead_letters")
    op.create_unique_constraint(
        op.f("dead_letters_topic_partition_offset_recorded_at_key"),
        "dead_letters",
        ["topic", "partition", "offset", "recorded_at"],
    )


def downgrade() -> None:
    """The reasons of halted partitions are lost, and the fingerprints by which logs are recognised. After the next
    upgrade scores show no measures until the sweeper has filled them in.
    """
    op.drop_constraint("dead_letters_topic_partition_offset_recorded_at_key", "dead_letters")
    op.create_unique_constraint(
        op.f("dead_letters_topic_partition_offset_key"), "dead_letters", ["topic", "partition", "offset"]
    )
    op.drop_column("progress", "halted")
    op.drop_column("progress", "fingerprint")
    op.execute("ALTER TABLE scores RESET (fillfactor)")
    op.drop_column("scores", "readings")
    op.add_column(
        "scores",
        sa.Column("measures", sa.JSON(), comment="name -> [value, score, contribution, reason it is missing]"),
    )
    for signal, table in SIGNALS.items():
        comment = "time of the newest usage event" if signal == "usage" else None
        op.add_column("scores", sa.Column(f"{signal}_at", Instant, comment=comment))
        op.execute(
            f"UPDATE scores SET {signal}_at = newest_at FROM {table} WHERE scores.account_id = {table}.account_id"  # noqa: S608
        )
        op.drop_column(table, "newest_at")
        op.execute(f"ALTER TABLE {table} RESET (fillfactor)")
    op.execute("UPDATE scores SET due_at = '-infinity'")

"""The first schema."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create every table."""
    op.create_table(
        "accounts",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("segment", sa.Text(), nullable=True),
        sa.Column("stage", sa.Text(), nullable=True),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("seats", sa.Integer(), nullable=True),
        sa.Column("arr", sa.Numeric(precision=16, scale=2), nullable=True),
        sa.Column("started_on", sa.Date(), nullable=True),
        sa.Column("renews_on", sa.Date(), nullable=True),
        sa.Column("churned_on", sa.Date(), nullable=True),
        sa.Column("parent_id", sa.Text(), nullable=True),
        sa.Column(
            "registers", sa.LargeBinary(), nullable=True, comment="last-writer-wins registers of the columns above"
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("account_id", name=op.f("accounts_pkey")),
    )
    op.create_table(
        "alert_rules",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column(
            "document",
            postgresql.JSONB(),
            nullable=False,
            comment="the rule as it was given, less name, kind and enabled",
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("alert_rules_pkey")),
        sa.UniqueConstraint("name", name=op.f("alert_rules_name_key")),
    )
    op.create_table(
        "alerts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("rule_id", sa.Uuid(), nullable=True, comment="kept after the rule is gone"),
        sa.Column("rule", sa.Text(), nullable=False, comment="the rule's name at the time"),
        sa.Column("type", sa.Text(), nullable=False, comment="health.threshold.crossed and so on"),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column(
            "quiet",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
            comment="came of a backfill: told to nobody",
        ),
        sa.Column("data", postgresql.JSON(), nullable=False, comment="what webhooks send as data"),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("state IN ('firing', 'resolved')", name=op.f("alerts_state_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("alerts_pkey")),
        sa.UniqueConstraint("account_id", "sequence", name=op.f("alerts_account_id_sequence_key")),
    )
    op.create_index(op.f("alerts_created_at_id_idx"), "alerts", ["created_at", "id"], unique=False)
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False, comment="SHA-256 of the key"),
        sa.Column("hint", sa.Text(), nullable=False, comment="the key's first characters, to recognise it by"),
        sa.Column("scopes", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("api_keys_pkey")),
        sa.UniqueConstraint("digest", name=op.f("api_keys_digest_key")),
    )
    op.create_table(
        "dead_letters",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=True, comment="the record's key, where it is readable"),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=True),
        sa.Column("value", sa.LargeBinary(), nullable=True),
        sa.Column("headers", postgresql.JSONB(), nullable=False, comment="[[name, base64 value], …]"),
        sa.Column(
            "recorded_at", sa.DateTime(timezone=True), nullable=False, comment="the broker's timestamp of the record"
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("replayed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("dead_letters_pkey")),
        sa.UniqueConstraint("topic", "partition", "offset", name=op.f("dead_letters_topic_partition_offset_key")),
    )
    op.create_index(
        op.f("dead_letters_account_id_idx"),
        "dead_letters",
        ["account_id"],
        unique=False,
        postgresql_where=sa.text("account_id IS NOT NULL"),
    )
    op.create_table(
        "progress",
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("next_offset", sa.BigInteger(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("topic", "partition", name=op.f("progress_pkey")),
    )
    op.create_table(
        "scorecards",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("document", postgresql.JSONB(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False, comment="SHA-256 of the canonical document"),
        sa.Column("published_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("name", "version", name=op.f("scorecards_pkey")),
    )
    op.create_table(
        "scores",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("score", sa.Double(), nullable=True),
        sa.Column("band", sa.Text(), server_default="unknown", nullable=False),
        sa.Column("coverage", sa.Double(), server_default="0", nullable=False),
        sa.Column("day", sa.Date(), nullable=True, comment="the day the score is of; null until first evaluated"),
        sa.Column("evaluated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("scorecard", sa.Text(), nullable=True),
        sa.Column("scorecard_version", sa.Integer(), nullable=True),
        sa.Column(
            "measures",
            postgresql.JSON(),
            nullable=True,
            comment="name -> [value, score, contribution, reason it is missing]",
        ),
        sa.Column("usage_at", sa.DateTime(timezone=True), nullable=True, comment="time of the newest usage event"),
        sa.Column("ticket_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("survey_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("rule_memory", sa.LargeBinary(), nullable=True, comment="state of the rules that aren't plain ok"),
        sa.Column(
            "sequence", sa.BigInteger(), server_default="0", nullable=False, comment="of the account's last alert"
        ),
        sa.Column(
            "due_at",
            sa.DateTime(timezone=True),
            server_default="-infinity",
            nullable=False,
            comment="when the sweeper has to look",
        ),
        sa.CheckConstraint("band IN ('green', 'yellow', 'red', 'unknown')", name=op.f("scores_band_check")),
        sa.CheckConstraint("score BETWEEN 0 AND 100", name=op.f("scores_score_check")),
        sa.PrimaryKeyConstraint("account_id", name=op.f("scores_pkey")),
    )
    op.create_index(op.f("scores_band_account_id_idx"), "scores", ["band", "account_id"], unique=False)
    op.create_index(op.f("scores_due_at_idx"), "scores", ["due_at"], unique=False)
    op.create_table(
        "seen_events",
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("last_offset", sa.BigInteger(), nullable=False),
        sa.Column("newest_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("hashes", sa.LargeBinary(), nullable=False, comment="8 bytes an event: xxh3-64 of source and id"),
        sa.PrimaryKeyConstraint("topic", "partition", "last_offset", name=op.f("seen_events_pkey")),
    )
    op.create_table(
        "survey_states",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", name=op.f("survey_states_pkey")),
    )
    op.create_table(
        "ticket_states",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", name=op.f("ticket_states_pkey")),
    )
    op.create_table(
        "usage_states",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", name=op.f("usage_states_pkey")),
    )
    op.create_table(
        "webhook_endpoints",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), server_default="standard", nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False, comment="encrypted"),
        sa.Column(
            "headers", sa.LargeBinary(), nullable=True, comment="encrypted JSON object of additional request headers"
        ),
        sa.Column(
            "event_types", sa.ARRAY(sa.Text()), nullable=True, comment="null takes all, here and in the filters below"
        ),
        sa.Column("rules", sa.ARRAY(sa.Text()), nullable=True, comment="ids or names of rules"),
        sa.Column("bands", sa.ARRAY(sa.Text()), nullable=True),
        sa.Column("segments", sa.ARRAY(sa.Text()), nullable=True),
        sa.Column("stages", sa.ARRAY(sa.Text()), nullable=True),
        sa.Column("owners", sa.ARRAY(sa.Text()), nullable=True),
        sa.Column("ordered", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("webhook_endpoints_pkey")),
    )
    op.create_table(
        "deliveries",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("alert_id", sa.Uuid(), nullable=False),
        sa.Column("endpoint_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), server_default="pending", nullable=False),
        sa.Column("attempts", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column(
            "lease",
            sa.Uuid(),
            nullable=True,
            comment="who is sending it now; recording an attempt compares and clears it",
        ),
        sa.Column("leased_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state IN ('pending', 'succeeded', 'failed')", name=op.f("deliveries_state_check")),
        sa.ForeignKeyConstraint(["alert_id"], ["alerts.id"], name=op.f("deliveries_alert_id_fkey"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["endpoint_id"], ["webhook_endpoints.id"], name=op.f("deliveries_endpoint_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("deliveries_pkey")),
        sa.UniqueConstraint("alert_id", "endpoint_id", name=op.f("deliveries_alert_id_endpoint_id_key")),
    )
    op.create_index(
        "deliveries_due_idx",
        "deliveries",
        ["endpoint_id", "due_at"],
        unique=False,
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index(
        op.f("deliveries_endpoint_id_created_at_idx"), "deliveries", ["endpoint_id", "created_at"], unique=False
    )
    op.create_table(
        "delivery_attempts",
        sa.Column("delivery_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.SmallInteger(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("duration_seconds", sa.Double(), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=True, comment="HTTP status; null if there was no answer"),
        sa.Column("error", sa.Text(), nullable=True, comment="why there was no answer"),
        sa.Column("response", sa.Text(), nullable=True, comment="the first 4 kB of the body"),
        sa.ForeignKeyConstraint(
            ["delivery_id"], ["deliveries.id"], name=op.f("delivery_attempts_delivery_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("delivery_id", "number", name=op.f("delivery_attempts_pkey")),
    )
    # ### end Alembic commands ###


def downgrade() -> None:
    """Every table is dropped, and with them all data."""
    op.drop_table("delivery_attempts")
    op.drop_table("deliveries")
    op.drop_table("accounts")
    op.drop_table("alert_rules")
    op.drop_table("alerts")
    op.drop_table("api_keys")
    op.drop_table("dead_letters")
    op.drop_table("progress")
    op.drop_table("scorecards")
    op.drop_table("scores")
    op.drop_table("seen_events")
    op.drop_table("survey_states")
    op.drop_table("ticket_states")
    op.drop_table("usage_states")
    op.drop_table("webhook_endpoints")

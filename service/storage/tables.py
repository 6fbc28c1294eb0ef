"""Every table, as SQLAlchemy Core. Migrations must give exactly this (a test compares them).

The tables that grow with the number of accounts (accounts, scores and states) have no key without `account_id`, so that
they can be distributed by it: see deploy/scaling.md.
"""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSON, JSONB

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
    }
)

Instant = DateTime(timezone=True)


def _created_at() -> Column[object]:
    return Column("created_at", Instant, nullable=False, server_default=func.now())


# --- Kafka bookkeeping: the truth about what was folded --------------------------------------------------------

progress = Table(
    "progress",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("next_offset", BigInteger, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("owner", Text, nullable=False),
    Column("fingerprint", BigInteger, comment="of the last folded record, to know it again; null if there is none"),
    Column("halted", Text, comment="why it is not folded until an operator decides; null while it is"),
    Column("updated_at", Instant, nullable=False, server_default=func.now()),
)

seen_events = Table(
    "seen_events",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("last_offset", BigInteger, primary_key=True),
    Column("newest_at", Instant, nullable=False),
    Column("hashes", LargeBinary, nullable=False, comment="8 bytes an event: xxh3-64 of source and id"),
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("account_id", Text, comment="the record's key, where it is readable"),
    Column("reason", Text, nullable=False),
    Column("key", LargeBinary),
    Column("value", LargeBinary),
    Column("headers", JSONB, nullable=False, comment="[[name, base64 value], …]"),
    Column("recorded_at", Instant, nullable=False, comment="the broker's timestamp of the record"),
    _created_at(),
    Column("replayed_at", Instant),
    Column("relayed_at", Instant, comment="when it was published to <topic>.dead-letters"),
    # With the timestamp: where a topic was made anew, offsets come again.
    UniqueConstraint("topic", "partition", "offset", "recorded_at"),
    Index(None, "account_id", postgresql_where=text("account_id IS NOT NULL")),
    Index("dead_letters_to_relay_idx", "topic", "id", postgresql_where=text("relayed_at IS NULL")),
)

# --- Accounts ---------------------------------------------------------------------------------------------------

accounts = Table(
    "accounts",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("name", Text),
    Column("segment", Text),
    Column("stage", Text),
    Column("owner", Text),
    Column("seats", Integer),
    Column("arr", Numeric(16, 2)),
    Column("started_on", Date),
    Column("renews_on", Date),
    Column("churned_on", Date),
    Column("parent_id", Text),
    Column("registers", LargeBinary, comment="last-writer-wins registers of the columns above"),
    _created_at(),
)


_ROOM = {"fillfactor": 70}
"""Rows that change with every event find room on their page, so that indexes needn't hear of it (heap-only tuples)."""


def _state_table(name: str) -> Table:
    return Table(
        name,
        metadata,
        Column("account_id", Text, primary_key=True),
        Column("state", LargeBinary, nullable=False),
        Column("newest_at", Instant, comment="time of the newest event"),
        postgresql_with=_ROOM,
    )


usage_states = _state_table("usage_states")
ticket_states = _state_table("ticket_states")
survey_states = _state_table("survey_states")

scores = Table(
    "scores",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("score", Double),
    Column("band", Text, nullable=False, server_default="unknown"),
    Column("coverage", Double, nullable=False, server_default="0"),
    Column("day", Date, comment="the day the score is of; null until first evaluated"),
    Column("evaluated_at", Instant),
    Column("scorecard", Text),
    Column("scorecard_version", Integer),
    Column("readings", JSON, comment="per measure of the scorecard: its value, or the reason that it is missing"),
    Column("rule_memory", LargeBinary, comment="state of the rules that aren't plain ok"),
    Column("sequence", BigInteger, nullable=False, server_default="0", comment="of the account's last alert"),
    Column("due_at", Instant, nullable=False, server_default="-infinity", comment="when the sweeper has to look"),
    CheckConstraint("band IN ('green', 'yellow', 'red', 'unknown')", name="band"),
    CheckConstraint("score BETWEEN 0 AND 100", name="score"),
    Index(None, "due_at"),
    Index(None, "band", "account_id"),
    postgresql_with=_ROOM,
)
"""One row per account, and the row that every writer locks first."""

scorecards = Table(
    "scorecards",
    metadata,
    Column("name", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("document", JSONB, nullable=False),
    Column("digest", LargeBinary, nullable=False, comment="SHA-256 of the canonical document"),
    Column("published_at", Instant, nullable=False, server_default=func.now()),
)

# --- Alerts and what carries them -------------------------------------------------------------------------------

alert_rules = Table(
    "alert_rules",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("enabled", Boolean, nullable=False, server_default=text("true")),
    Column("document", JSONB, nullable=False, comment="the rule as it was given, less name, kind and enabled"),
    _created_at(),
    Column("updated_at", Instant, nullable=False, server_default=func.now()),
)

alerts = Table(
    "alerts",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("rule_id", Uuid, comment="kept after the rule is gone"),
    Column("rule", Text, nullable=False, comment="the rule's name at the time"),
    Column("type", Text, nullable=False, comment="health.threshold.crossed and so on"),
    Column("state", Text, nullable=False),
    Column(
        "quiet", Boolean, nullable=False, server_default=text("false"), comment="came of a backfill: told to nobody"
    ),
    Column("data", JSON, nullable=False, comment="what webhooks send as data"),
    _created_at(),
    CheckConstraint("state IN ('firing', 'resolved')", name="state"),
    UniqueConstraint("account_id", "sequence"),
    Index(None, "created_at", "id"),
)

webhook_endpoints = Table(
    "webhook_endpoints",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("url", Text, nullable=False),
    Column("target", Text, nullable=False, server_default="standard"),
    Column("description", Text, nullable=False, server_default=""),
    Column("enabled", Boolean, nullable=False, server_default=text("true")),
    Column("secret", LargeBinary, nullable=False, comment="encrypted"),
    Column("headers", LargeBinary, comment="encrypted JSON object of additional request headers"),
    Column("event_types", ARRAY(Text), comment="null takes all, here and in the filters below"),
    Column("rules", ARRAY(Text), comment="ids or names of rules"),
    Column("bands", ARRAY(Text)),
    Column("segments", ARRAY(Text)),
    Column("stages", ARRAY(Text)),
    Column("owners", ARRAY(Text)),
    Column("ordered", Boolean, nullable=False, server_default=text("false")),
    _created_at(),
    Column("updated_at", Instant, nullable=False, server_default=func.now()),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("alert_id", Uuid, ForeignKey("alerts.id", ondelete="CASCADE"), nullable=False),
    Column("endpoint_id", Uuid, ForeignKey("webhook_endpoints.id", ondelete="CASCADE"), nullable=False),
    Column("state", Text, nullable=False, server_default="pending"),
    Column("attempts", SmallInteger, nullable=False, server_default="0"),
    Column("due_at", Instant, nullable=False, server_default=func.now()),
    Column("lease", Uuid, comment="who is sending it now; recording an attempt compares and clears it"),
    Column("leased_until", Instant),
    _created_at(),
    Column("finished_at", Instant),
    CheckConstraint("state IN ('pending', 'succeeded', 'failed')", name="state"),
    UniqueConstraint("alert_id", "endpoint_id"),
    Index("deliveries_due_idx", "endpoint_id", "due_at", postgresql_where=text("state = 'pending'")),
    Index(None, "endpoint_id", "created_at"),
)

delivery_attempts = Table(
    "delivery_attempts",
    metadata,
    Column("delivery_id", Uuid, ForeignKey("deliveries.id", ondelete="CASCADE"), primary_key=True),
    Column("number", SmallInteger, primary_key=True),
    Column("started_at", Instant, nullable=False),
    Column("duration_seconds", Double, nullable=False),
    Column("status", SmallInteger, comment="HTTP status; null if there was no answer"),
    Column("error", Text, comment="why there was no answer"),
    Column("response", Text, comment="the first 4 kB of the body"),
)

# --- Access -----------------------------------------------------------------------------------------------------

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False, unique=True, comment="SHA-256 of the key"),
    Column("hint", Text, nullable=False, comment="the key's first characters, to recognise it by"),
    Column("scopes", ARRAY(Text), nullable=False),
    _created_at(),
    Column("expires_at", Instant),
    Column("last_used_at", Instant),
)

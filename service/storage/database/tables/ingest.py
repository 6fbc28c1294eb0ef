"""Kafka bookkeeping, which is the truth about what was folded, and the sources of events."""

from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from service.storage.database.tables.metadata import Instant, created_at, metadata

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
    Column("topic_partitions", Integer, comment="how many its topic had when it was claimed last"),
    Column(
        "partitions_added_at",
        Instant,
        comment="when a consumer found that its topic had got more; null if it never has",
    ),
    Column("heard_at", Instant, comment="when its owner last said that it is there; null if none ever has"),
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

refused_stamps = Table(
    "refused_stamps",
    metadata,
    # With the timestamp: if a topic is created again, its offsets repeat.
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("offset", BigInteger, primary_key=True),
    Column("stamp_ms", BigInteger, primary_key=True, comment="the record's timestamp"),
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
    created_at(),
    Column("replayed_at", Instant),
    Column("relayed_at", Instant, comment="when it was published to <topic>.dead-letters"),
    # With the timestamp: if a topic is created again, its offsets repeat.
    UniqueConstraint("topic", "partition", "offset", "recorded_at"),
    Index(None, "account_id", postgresql_where=text("account_id IS NOT NULL")),
    Index("dead_letters_to_relay_idx", "topic", "id", postgresql_where=text("relayed_at IS NULL")),
)

source_days = Table(
    "source_days",
    metadata,
    Column("source", Text, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("accounts", BigInteger, nullable=False, comment="with usage from the source on or after that day"),
)
"""The number of accounts that each source of usage events reported, counted once the day is over."""

source_outages = Table(
    "source_outages",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("source", Text, nullable=False),
    Column("began_on", Date, nullable=False, comment="the first day on which most of its accounts were missing"),
    Column("noticed_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Index("source_outages_open_idx", "source", unique=True, postgresql_where=text("ended_at IS NULL")),
)

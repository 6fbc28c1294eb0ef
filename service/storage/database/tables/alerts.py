"""Alerts and their digests."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSON

from service.storage.database.tables.metadata import Instant, created_at, metadata

alerts = Table(
    "alerts",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("account_id", Text, comment="null where it is about many or none, or about one that was erased"),
    Column("sequence", BigInteger),
    Column("rule_id", Uuid, comment="kept after the rule is gone"),
    Column("rule", Text, nullable=False, comment="the rule's name at the time"),
    Column("type", Text, nullable=False, comment="health.threshold.crossed and so on"),
    Column("state", Text, nullable=False),
    Column(
        "quiet",
        Boolean,
        nullable=False,
        server_default=text("false"),
        comment="not told for itself: summed up in a digest, or a test",
    ),
    Column("data", JSON, nullable=False, comment="what webhooks send as data"),
    created_at(),
    Column("digest_id", Uuid, comment="the digest that it is summed up in"),
    Column("acknowledged_at", Instant),
    Column("acknowledged_by", Text),
    Column("snoozed_until", Instant),
    Column(
        "transaction",
        BigInteger,
        nullable=False,
        server_default=text("(pg_current_xact_id())::text::bigint"),
        comment="the one that wrote it; pollers go by it, as it tells what may still be written",
    ),
    Column("traceparent", Text, comment="W3C context of the event that it came of, if that was traced"),
    Column("ends_for", ARRAY(Uuid), comment="endpoints that are told when what begins here is over"),
    Column("digest_for", ARRAY(Uuid), comment="endpoints that hear of it in its digest"),
    CheckConstraint("state IN ('firing', 'resolved', 'digest')", name="state"),
    UniqueConstraint("account_id", "sequence"),
    Index(None, "digest_id", postgresql_where=text("digest_id IS NOT NULL")),
    Index(None, "created_at", "id"),
    Index(None, "transaction", "id"),
    Index("alerts_farewells_idx", "created_at", postgresql_where=text("account_id IS NULL AND state = 'resolved'")),
)

digests = Table(
    "digests",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("cause", Text, nullable=False, comment="scorecard, backfill, dwell or rule"),
    Column("subject", Text, nullable=False, comment="what was published or changed; empty for a backfill and a dwell"),
    Column("opened_at", Instant, nullable=False),
    Column("touched_at", Instant, nullable=False, comment="when an alert was last added to it"),
    Column("closed_at", Instant, comment="when it was told"),
    Column(
        "change",
        Text,
        comment="of a rule: created, changed, enabled, disabled or deleted; null where that isn't known",
    ),
    CheckConstraint("cause IN ('scorecard', 'backfill', 'dwell', 'rule')", name="cause"),
    Index(
        "digests_open_idx",
        "cause",
        unique=True,
        postgresql_where=text("closed_at IS NULL AND cause <> 'scorecard'"),
    ),
)
"""Alerts that are sent together, in one message, instead of each by itself."""

digest_moves = Table(
    "digest_moves",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("digest_id", Uuid, ForeignKey("digests.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("band_before", Text, nullable=False),
    Column("band_after", Text, nullable=False),
    Column("accounts", BigInteger, nullable=False),
    Column("segment", Text, comment="of the accounts"),
    Column("stage", Text, comment="of the accounts"),
    Column("owner", Text, comment="of the accounts"),
)
"""Numbers of accounts that moved from band to band, to be summed: rows are only added, so that writers don't
conflict.
"""

"""Webhook endpoints, deliveries and their attempts."""

from sqlalchemy import (
    ARRAY,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSON

from service.storage.database.tables.metadata import Instant, created_at, metadata

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
    Column("options", LargeBinary, comment="encrypted JSON object of what the target has to be told beside the URL"),
    Column("event_types", ARRAY(Text), comment="null takes all, here and in the filters below"),
    Column("rules", ARRAY(Text), comment="ids or names of rules"),
    Column("bands", ARRAY(Text)),
    Column("segments", ARRAY(Text)),
    Column("stages", ARRAY(Text)),
    Column("owners", ARRAY(Text)),
    Column("ordered", Boolean, nullable=False, server_default=text("false")),
    Column("rate_limit", Double, comment="messages a second at most; null is no limit"),
    Column(
        "paid_until", Instant, comment="by when what was sent is paid for at that rate: service/delivery/rate_limit.py"
    ),
    Column("paused_until", Instant, comment="by its own answer: it takes no message of anybody before that"),
    Column("disabled_reason", Text, comment="gone or failing; null where somebody disabled it"),
    Column("failing_since", Instant, comment="when the first attempt failed after the last success"),
    Column("warned_at", Instant, comment="when operators were told that it will be disabled"),
    created_at(),
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
    Column(
        "tries",
        SmallInteger,
        nullable=False,
        server_default="0",
        comment="attempts since it was written, or last sent again: where it is in the retry schedule",
    ),
    Column("due_at", Instant, nullable=False, server_default=func.now()),
    Column("lease", Uuid, comment="who is sending it now; recording an attempt compares and clears it"),
    Column("leased_until", Instant),
    created_at(),
    Column("finished_at", Instant),
    Column("data", JSON, comment="what is sent in place of the alert's data: the endpoint's part of a digest"),
    Column("resent_at", Instant, comment="when it was last sent again by hand; its lifetime begins then"),
    CheckConstraint("state IN ('pending', 'succeeded', 'failed', 'superseded')", name="state"),
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

"""Scorecards and alert rules, the re-evaluation after one has changed, and back-tests of both."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from service.storage.database.tables.metadata import Instant, created_at, metadata

scorecards = Table(
    "scorecards",
    metadata,
    Column("name", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("document", JSONB, nullable=False),
    Column("digest", LargeBinary, nullable=False, comment="SHA-256 of the canonical document"),
    Column("published_at", Instant, nullable=False, server_default=func.now()),
    Column(
        "calibration",
        JSONB(none_as_null=True),
        comment="that field of the document, which the version before this column doesn't know",
    ),
)

alert_rules = Table(
    "alert_rules",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("enabled", Boolean, nullable=False, server_default=text("true")),
    Column("document", JSONB, nullable=False, comment="the rule as it was given, less name, kind and enabled"),
    Column("added", JSONB, comment="those fields of it that the version before this column doesn't know"),
    created_at(),
    Column("updated_at", Instant, nullable=False, server_default=func.now()),
    Column("deleted_at", Instant, comment="deleted rules stay, so that what they fired can be resolved by name"),
    Index(None, "name", unique=True, postgresql_where=text("deleted_at IS NULL")),
)

reevaluations = Table(
    "reevaluations",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("cause", Text, nullable=False, comment="scorecard or rule"),
    Column("subject", Text, nullable=False, comment="what changed"),
    Column("digest_id", Uuid, ForeignKey("digests.id", ondelete="SET NULL")),
    Column("total", BigInteger, nullable=False, comment="how many accounts there were at the start"),
    Column("done", BigInteger, nullable=False, server_default="0"),
    Column("cursor", Text, nullable=False, server_default="", comment="the last account that was judged anew"),
    Column("started_at", Instant, nullable=False),
    Column("finished_at", Instant),
    Column("rules", ARRAY(Uuid), nullable=False, server_default="{}", comment="that have changed, by id"),
    CheckConstraint("cause IN ('scorecard', 'rule')", name="cause"),
    Index("reevaluations_open_idx", "started_at", postgresql_where=text("finished_at IS NULL")),
)
"""Re-evaluations of all accounts, in order, after a change of scorecards or rules."""

backtests = Table(
    "backtests",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("request", JSONB, nullable=False, comment="the log, outcomes, scorecards and rules, as given"),
    Column("step", Text, nullable=False, server_default="", comment="the work under way, in words"),
    Column("done", BigInteger, nullable=False, server_default="0", comment="rows of the step so far"),
    Column("total", BigInteger, comment="rows of the step; null where that isn't known"),
    Column("tries", Integer, nullable=False, server_default="0", comment="runs that were begun"),
    Column("run", Uuid, comment="the run that may write; another one has taken over otherwise"),
    Column("heard_at", Instant, comment="when its run last said that it is there"),
    Column("started_at", Instant),
    Column("finished_at", Instant),
    Column("problem", Text, comment="why it failed, with what to do; null unless it did"),
    Column("report", JSONB, comment="null unless it succeeded"),
    created_at(),
    Index("backtests_open_idx", "created_at", postgresql_where=text("finished_at IS NULL")),
)
"""Back-tests that were asked for over HTTP."""

"""Every table, as SQLAlchemy Core. Migrations must give exactly this (a test compares them).

The tables that grow with the number of accounts (accounts, scores, history and states) have no key without
`account_id`, so that they can be distributed by it: see deploy/scaling.md.
"""

from typing import Any

from sqlalchemy import (
    ARRAY,
    DDL,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
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
    event,
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
    _created_at(),
    Column("replayed_at", Instant),
    Column("relayed_at", Instant, comment="when it was published to <topic>.dead-letters"),
    # With the timestamp: if a topic is created again, its offsets repeat.
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
    # In the order of lists, with the attributes that they are filtered by; Postgres' own names for indexes. Partial, as
    # most accounts are created by an event of another kind, and get these attributes later.
    *(
        Index(
            f"accounts_{name}_account_id_{first}_{second}_idx",
            name,
            "account_id",
            postgresql_include=[first, second],
            postgresql_where=text(f"{name} IS NOT NULL"),
        )
        for name, first, second in (
            ("segment", "stage", "owner"),
            ("stage", "segment", "owner"),
            ("owner", "segment", "stage"),
        )
    ),
)


_ROOM = {"fillfactor": 70}
"""Rows that change with every event find room on their page, so that indexes needn't change (heap-only tuples)."""


def _state_table(name: str, *more: Column[Any]) -> Table:
    return Table(
        name,
        metadata,
        Column("account_id", Text, primary_key=True),
        Column("state", LargeBinary, nullable=False),
        Column("newest_at", Instant, comment="time of the newest event"),
        *more,
        postgresql_with=_ROOM,
    )


usage_states = _state_table("usage_states", Column("source", Text, comment="who sent the newest event"))
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
    Column("since", Date, comment="the first day on which all measures scored as they do; null until evaluated"),
    Column("journal", LargeBinary, comment="what happened on that day, by cause: scoring/history/journal.py"),
    Column("override", JSON, comment="a score or band by hand: score, band, reason, author, set_at, expires_at"),
    # Attributes that lists are filtered by, beside the score: an account that doesn't match needn't be read.
    Column("segment", Text, comment="as in accounts"),
    Column("stage", Text, comment="as in accounts"),
    Column("owner", Text, comment="as in accounts"),
    # Counted by the portfolio; an earlier version still sorts lists by it.
    Column("point", SmallInteger, Computed("floor(score)", persisted=True), comment="the score's whole points"),
    # Lists use these columns, as nearly every event changes the score: service/storage/accounts/listing.
    Column("quarter", SmallInteger, Computed("floor(score * 4)", persisted=True), comment="the score's quarter points"),
    Column(
        "settled",
        Double,
        Computed("CASE WHEN since < day OR score = floor(score) THEN score END", persisted=True),
        comment="the score, where it is that of an earlier day, or whole",
    ),
    Column(
        "slot",
        Instant,
        Computed("date_bin('00:02:00'::interval, evaluated_at, '2000-01-01 00:00:00+00'::timestamptz)", persisted=True),
        comment="the two minutes that evaluated_at lies in",
    ),
    CheckConstraint("band IN ('green', 'yellow', 'red', 'unknown')", name="band"),
    CheckConstraint("score BETWEEN 0 AND 100", name="score"),
    Index(None, "due_at"),
    # The attributes come last: they show whether a row matches before it is read.
    Index(None, "band", "quarter", "settled", "account_id", "segment", "stage", "owner"),
    Index(None, "slot", "account_id", "segment", "stage", "owner"),
    postgresql_with=_ROOM,
)
"""One row per account, and the row that every writer locks first."""

history = Table(
    "history",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("day", Date, primary_key=True, comment="the last day that the row is of"),
    Column("since", Date, nullable=False, comment="the first: from then to `day` all measures scored the same"),
    Column("score", Double),
    Column("band", Text, nullable=False),
    Column("coverage", Double, nullable=False),
    Column("scorecard", Text, nullable=False),
    Column("scorecard_version", Integer, nullable=False),
    Column("readings", JSON, nullable=False, comment="as in scores, on `day`"),
    Column("journal", LargeBinary, comment="what happened on `since`, by cause: scoring/history/journal.py"),
    Column("override", JSON),
    postgresql_partition_by="RANGE (day)",
)
"""Former contents of `scores`: an account whose measures score the same for days has one row for them.

Partitions are months, made ahead and dropped by the sweeper; rows outside them are in the default partition.
"""
_DEFAULT_PARTITION = DDL("CREATE TABLE history_default PARTITION OF history DEFAULT")  # type: ignore[no-untyped-call] # SQLAlchemy's
event.listen(history, "after_create", _DEFAULT_PARTITION)

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
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("enabled", Boolean, nullable=False, server_default=text("true")),
    Column("document", JSONB, nullable=False, comment="the rule as it was given, less name, kind and enabled"),
    Column("added", JSONB, comment="those fields of it that the version before this column doesn't know"),
    _created_at(),
    Column("updated_at", Instant, nullable=False, server_default=func.now()),
    Column("deleted_at", Instant, comment="deleted rules stay, so that what they fired can be resolved by name"),
    Index(None, "name", unique=True, postgresql_where=text("deleted_at IS NULL")),
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
    _created_at(),
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
    _created_at(),
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

# --- Forecasts --------------------------------------------------------------------------------------------------

forecast_crossings = Table(
    "forecast_crossings",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("rule_id", Uuid, primary_key=True),
    Column("day", Date, nullable=False, comment="the first on which the rule fires if the account is silent"),
    Column("score", Double, comment="the account's on that day"),
    Column("made_at", Instant, nullable=False),
    Index(None, "day", "account_id", "rule_id"),
    postgresql_with=_ROOM,
)
"""Crossings that silence will cause: rules that don't fire yet, each with its day. As old as the cycle through all
accounts.
"""

forecast_cycle = Table(
    "forecast_cycle",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column(
        "cursor",
        Text,
        nullable=False,
        server_default="",
        comment="the last account that was forecast; empty between two cycles",
    ),
    Column("began_at", Instant, nullable=False),
    Column("due_at", Instant, nullable=False, comment="until then forecasters rest"),
    CheckConstraint("id = 1", name="one"),
)
"""The state of the forecast cycle: one row, which a forecaster locks while it works."""

# --- Sources ----------------------------------------------------------------------------------------------------

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

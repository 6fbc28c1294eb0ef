"""Accounts: attributes, states, scores, history and forecasts.

The tables that grow with the number of accounts have no key without `account_id`, so that they can be distributed by
it: see deploy/scaling.md.
"""

from sqlalchemy import (
    DDL,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    Date,
    Double,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    SmallInteger,
    Table,
    Text,
    Uuid,
    event,
    false,
    text,
)
from sqlalchemy.dialects.postgresql import JSON

from service.storage.database.tables.metadata import ROOM_ON_PAGES, Instant, created_at, metadata

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
    created_at(),
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
    Index("accounts_churned_on_idx", "churned_on", postgresql_where=text("churned_on IS NOT NULL")),
)


def _state_table(name: str) -> Table:
    return Table(
        name,
        metadata,
        Column("account_id", Text, primary_key=True),
        Column("state", LargeBinary, nullable=False),
        Column("newest_at", Instant, comment="time of the newest event"),
        postgresql_with=ROOM_ON_PAGES,
    )


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
    Column("usage", LargeBinary, comment="the state of usage; null if there never was any"),
    Column("usage_at", Instant, comment="time of the newest usage event"),
    Column("usage_source", Text, comment="who sent the newest usage event"),
    # Only the version before reads what follows, in its lists.
    Column("segment", Text, comment="as in accounts"),
    Column("stage", Text, comment="as in accounts"),
    Column("owner", Text, comment="as in accounts"),
    *(
        Column(name, kind, Computed(made_of, persisted=False), comment="for lists of the version before")
        for name, kind, made_of in (
            ("point", SmallInteger, "floor(score)"),
            ("quarter", SmallInteger, "floor(score * 4)"),
            ("settled", Double, "CASE WHEN since < day OR score = floor(score) THEN score END"),
            (
                "slot",
                Instant,
                "date_bin('00:02:00'::interval, evaluated_at, '2000-01-01 00:00:00+00'::timestamptz)",
            ),
        )
    ),
    CheckConstraint("band IN ('green', 'yellow', 'red', 'unknown')", name="band"),
    CheckConstraint("score BETWEEN 0 AND 100", name="score"),
    Index(None, "due_at"),
    # Half of a page: an account of medium size is written uncompressed, and its next version fits on the same page.
    postgresql_with={"fillfactor": 50, "toast_tuple_target": 4080},
)
"""One row per account, which every writer locks first: all that changes with every event.

An update that changes no indexed column, and finds room on the page, leaves all indexes alone (a heap-only tuple). So
`due_at`, which changes once a day, is the only indexed column beside the key; lists have `listed_accounts`. Score and
state of usage share a row because most events are usage, and a second row costs as much again.
"""

_USAGE_STATES = DDL(  # type: ignore[no-untyped-call] # SQLAlchemy's
    "CREATE VIEW usage_states AS SELECT account_id, usage AS state, usage_at AS newest_at, usage_source AS source"
    " FROM scores WHERE usage IS NOT NULL"
)
"""The table of the version before, which reads and writes it."""
event.listen(scores, "after_create", _USAGE_STATES)

listed_accounts = Table(
    "listed_accounts",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("score", Double, comment="within a tenth of a point of that in scores"),
    Column("band", Text, nullable=False),
    Column("segment", Text, comment="as in accounts"),
    Column("stage", Text, comment="as in accounts"),
    Column("owner", Text, comment="as in accounts"),
    Column(
        "changed_at",
        Instant,
        nullable=False,
        comment="when the band or the tenth of a point of the score last changed, or the account was created",
    ),
    # The last columns show whether a row matches before it is read. They cost next to nothing: what is written changes
    # the score, so that every index gets a new entry anyhow.
    Index(None, "band", "score", "account_id", "segment", "stage", "owner"),
    Index(
        "listed_accounts_changed_at_account_id_band_segment_stage_ow_idx",  # Postgres' own name
        *("changed_at", "account_id", "band", "segment", "stage", "owner"),
    ),
)
"""One row per account, by which lists filter and sort. Unlike those of `scores` it isn't written with every event, but
only when what it shows has changed: service/storage/accounts/listing/projection.py.
"""

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
    Column(
        "replayed",
        Boolean,
        nullable=False,
        server_default=false(),
        comment="worked out from loaded events, of days before the account was live",
    ),
    postgresql_partition_by="RANGE (day)",
)
"""Former contents of `scores`: an account whose measures score the same for days has one row for them. Before them come
those that were replayed from loaded events.

Partitions are months, made ahead and dropped by the sweeper; rows outside them are in the default partition.
"""
_DEFAULT_PARTITION = DDL("CREATE TABLE history_default PARTITION OF history DEFAULT")  # type: ignore[no-untyped-call] # SQLAlchemy's
event.listen(history, "after_create", _DEFAULT_PARTITION)

forecast_crossings = Table(
    "forecast_crossings",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("rule_id", Uuid, primary_key=True),
    Column("day", Date, nullable=False, comment="the first on which the rule fires if the account is silent"),
    Column("score", Double, comment="the account's on that day"),
    Column("made_at", Instant, nullable=False),
    Index(None, "day", "account_id", "rule_id"),
    postgresql_with=ROOM_ON_PAGES,
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

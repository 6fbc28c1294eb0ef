"""Expected churn, to be compared with that which is observed."""

from sqlalchemy import Boolean, Column, Date, Double, Index, Integer, Table, Text, text

from service.storage.database.tables.metadata import ROOM_ON_PAGES, metadata

churn_expectations = Table(
    "churn_expectations",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column(
        "outcome_on",
        Date,
        primary_key=True,
        comment="the renewal; for a calibration with horizon_days the first day of a month",
    ),
    Column("decided_on", Date, nullable=False, comment="the day whose closing score counts"),
    Column("first_day", Date, nullable=False, comment="of those on which churn is this outcome"),
    Column("last_day", Date, nullable=False, comment="of them"),
    Column(
        "settled",
        Boolean,
        nullable=False,
        server_default=text("false"),
        comment="whether decided_on has ended, so that the rest is known",
    ),
    Column("scorecard", Text),
    Column("scorecard_version", Integer),
    Column("probability", Double, comment="of churn; null where there was no score or no calibration"),
    Index("churn_expectations_open_idx", "decided_on", postgresql_where=text("NOT settled")),
    postgresql_with=ROOM_ON_PAGES,
)
"""A row per account and outcome, from its decision until it is counted: see deploy/operating.md."""

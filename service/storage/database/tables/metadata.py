"""The metadata that all tables belong to, and columns and options that they share."""

from sqlalchemy import Column, DateTime, MetaData, func

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

ROOM_ON_PAGES = {"fillfactor": 70}
"""Rows that change with every event find room on their page, so that indexes needn't change (heap-only tuples)."""


def created_at() -> Column[object]:
    """The column with the time at which a row was added."""
    return Column("created_at", Instant, nullable=False, server_default=func.now())

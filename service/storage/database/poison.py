"""Recognises failures caused by a transaction's content, so that others succeed and retrying it is useless."""

from typing import Any

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from service.runtime.errors import HealthError

_OF_DATA = ("22", "23", "54", "P0")
"""SQLSTATE classes: data exception, integrity constraint violation, program limit exceeded, raised by a trigger."""


def is_poison(error: Exception) -> bool:
    """True if the same records would fail again, and others wouldn't.

    False if Postgres is unavailable, a table is missing or access is denied: that would fail for all records alike.
    """
    if isinstance(error, DBAPIError):
        origin: Any = error.orig
        state = getattr(origin, "sqlstate", None)
        # Without a state, asyncpg refused a value before sending it.
        return isinstance(origin.__cause__, ValueError) if state is None else str(state).startswith(_OF_DATA)
    return not isinstance(error, HealthError | SQLAlchemyError | OSError | TimeoutError | MemoryError)

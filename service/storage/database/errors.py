"""Database errors: as messages that an operator can act on, and as failures that a record causes by its content."""

from typing import Any

from asyncpg.exceptions import ClientConfigurationError
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from service.runtime.errors import HealthError
from service.storage.database.retry import is_transient, sqlstate, trouble

_NO_TABLE, _FORBIDDEN, _NEEDED, _UNKNOWN_PARAMETER = "42P01", "42501", "2BP01", "42704"
_EXHAUSTED = {
    "53100": "Make room on the disk of its data folder, or of its write-ahead log, then run this again",
    "53200": "Give it memory, or lower work_mem and shared_buffers, then run this again",
    "53300": "Raise max_connections or the role's limit, or lower HEALTH_DATABASE_POOL_SIZE (deploy/sizing.md)",
}
_REFUSED_CLASSES = ("28", "3D")
"""SQLSTATE classes: the user or its password is refused; there is no such database."""
_DATA_CLASSES = ("22", "23", "54", "P0")
"""SQLSTATE classes: data exception, integrity constraint violation, program limit exceeded, raised by a trigger."""


def to_operator_error(error: DBAPIError | OSError) -> Exception:
    """The error with a remedy for the operator; itself if there is none."""
    origin = getattr(error, "orig", error)
    state = sqlstate(error) or ""
    reason = (str(origin).splitlines() or [type(origin).__name__])[0]
    if state == _NO_TABLE:
        return HealthError("The database has no tables yet", "Run: account-health migrate")
    if state in _EXHAUSTED:
        return HealthError(f"{trouble(error)}: {reason}", _EXHAUSTED[state])
    if state == _FORBIDDEN:
        return HealthError(
            f"The database user of HEALTH_DATABASE_URL may not do that: {reason}",
            "Use the database's owner, or have its owner grant it",
        )
    if state == _NEEDED:
        needed_by = str(getattr(origin, "detail", None) or "").replace("\n", "; ")
        return HealthError(f"{reason}: {needed_by}", "Drop what depends on it first, then run this again")
    if _is_of_parameters(error, state):
        return HealthError(
            f"Postgres can't be used: {reason}", "Check the parameters of HEALTH_DATABASE_URL, those after its ?"
        )
    if state.startswith(_REFUSED_CLASSES) or is_transient(error):
        return HealthError(f"Postgres can't be used: {reason}", "Check HEALTH_DATABASE_URL and that the server runs")
    return error


def _is_of_parameters(error: DBAPIError | OSError, state: str) -> bool:
    """True if it was raised while connecting: there is no statement yet, and only the URL can be at fault."""
    if not isinstance(error, DBAPIError) or error.statement is not None:
        return False
    return state == _UNKNOWN_PARAMETER or isinstance(getattr(error.orig, "orig", None), ClientConfigurationError)


def is_poison(error: Exception) -> bool:
    """True if the same records would fail again, and others wouldn't: retrying is useless, and others can succeed.

    False if Postgres is unavailable, a table is missing or access is denied: that would fail for all records alike.
    """
    if isinstance(error, DBAPIError):
        origin: Any = error.orig
        state = getattr(origin, "sqlstate", None)
        # Without a state, asyncpg refused a value before sending it.
        return isinstance(origin.__cause__, ValueError) if state is None else str(state).startswith(_DATA_CLASSES)
    return not isinstance(error, HealthError | SQLAlchemyError | OSError | TimeoutError | MemoryError)


def poison_reason(error: Exception) -> str:
    """The reason stored with the dead letter of a record that can't be folded because of `error`."""
    text = str(getattr(error, "orig", None) or error).splitlines()
    return f"event: can't be folded: {type(error).__name__}: {text[0] if text else ''}".rstrip(": ")

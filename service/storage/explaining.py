"""Errors of the database, as an operator can act on them."""

from sqlalchemy.exc import DBAPIError, ProgrammingError

from service.errors import HealthError
from service.storage.transient import is_transient


def explain(error: DBAPIError | OSError) -> Exception:
    """The error as an operator can act on it; itself where it is none of theirs."""
    if isinstance(error, ProgrammingError) and getattr(error.orig, "sqlstate", None) == "42P01":
        return HealthError("The database has no tables yet", "Run: account-health migrate")
    origin = getattr(error, "orig", error)
    state = str(getattr(origin, "sqlstate", None) or getattr(origin.__cause__, "sqlstate", None) or "")
    if state.startswith(("28", "3D")) or is_transient(error):
        reason = (str(origin).splitlines() or [type(origin).__name__])[0]
        return HealthError(f"Postgres can't be used: {reason}", "Check HEALTH_DATABASE_URL and that the server runs")
    return error

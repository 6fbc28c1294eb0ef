"""Side jobs: a failure affects only the job itself, because the main work has to continue."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from sqlalchemy.exc import DBAPIError

from service.observability import metrics
from service.runtime.errors import HealthError
from service.storage.database.errors import to_operator_error
from service.storage.database.retry import trouble

log = structlog.get_logger(__name__)

Result = TypeVar("Result")


async def run_side_job(action: Callable[[], Awaitable[Result]], doing: str) -> Result | None:
    """Run `action` once; None if it fails, which is logged and counted under the name `doing`.

    The caller tries again after a while, whatever the error was.
    """
    # Whatever the error is, the main work must continue.
    try:
        return await action()
    except Exception as error:
        metrics.SIDE_JOB_FAILURES.labels(doing).inc()
        known = trouble(error) or _refusal(error)
        log.error(  # noqa: TRY400 - no traceback where Postgres is away, or refuses us
            "side_job_failed",
            doing=doing,
            reason=known or type(error).__name__,
            remedy="It is retried automatically; if it keeps failing, fix the cause in the reason",
            exc_info=None if known else error,
        )
        return None


def _refusal(error: Exception) -> str:
    """The reason why Postgres refuses us; empty for any other error."""
    if isinstance(error, DBAPIError) and isinstance(refusal := to_operator_error(error), HealthError):
        return refusal.problem
    return ""

"""Side jobs: one that fails harms itself alone, as the work beside it has to go on."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from sqlalchemy.exc import DBAPIError

from service.observability import metrics
from service.runtime.errors import HealthError
from service.storage.database.error_messages import to_operator_error
from service.storage.database.retry import is_transient, trouble

log = structlog.get_logger(__name__)

Result = TypeVar("Result")


async def run_side_job(action: Callable[[], Awaitable[Result]], doing: str) -> Result | None:
    """Do `action`, once; None if it fails, which the log and a metric say by the name `doing`.

    To be called again after a while, whether it will succeed then or not.
    """
    # Whatever it is, the work beside it must go on.
    try:
        return await action()
    except Exception as error:
        metrics.SIDE_JOB_FAILURES.labels(doing).inc()
        refused = isinstance(error, DBAPIError) and isinstance(to_operator_error(error), HealthError)
        log.error(  # noqa: TRY400 - no traceback where Postgres is away, or refuses us
            "side_job_failed",
            doing=doing,
            reason=_reason(error),
            remedy="It is tried again by itself; if it goes on, mend what the reason names",
            exc_info=None if refused or is_transient(error) else error,
        )
        return None


def _reason(error: Exception) -> str:
    if is_transient(error):
        return trouble(error)
    if isinstance(error, DBAPIError) and isinstance(refusal := to_operator_error(error), HealthError):
        return refusal.problem
    return type(error).__name__

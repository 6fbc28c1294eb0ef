"""Side jobs: one that fails harms itself alone, as the work beside it has to go on."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from service.observability import metrics
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
        passes = is_transient(error)
        metrics.SIDE_JOB_FAILURES.labels(doing).inc()
        log.error(  # noqa: TRY400 - no traceback where it is Postgres that is away
            "side_job_failed",
            doing=doing,
            reason=trouble(error) if passes else type(error).__name__,
            remedy="It is tried again by itself; if it goes on, mend what the reason names",
            exc_info=None if passes else error,
        )
        return None

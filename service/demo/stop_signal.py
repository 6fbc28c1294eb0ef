"""Ending on a signal as if it were the plan."""

import asyncio
import signal
from collections.abc import Coroutine


async def until_stopped(work: Coroutine[None, None, None]) -> None:
    """Do `work`; SIGINT and SIGTERM cancel it, which is a good end. A second signal doesn't wait for it."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    stopped = False

    def stop(number: signal.Signals) -> None:
        nonlocal stopped
        stopped = True
        task.cancel()
        loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    try:
        await task
    except asyncio.CancelledError:
        if not stopped:
            raise
    except BaseExceptionGroup as group:
        raise _first(group) from group


def _first(error: BaseException) -> BaseException:
    """The error at the bottom of nested groups: of several that happened at once, one is told."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error

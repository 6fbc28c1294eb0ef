"""Tasks of an event loop: several at once, pauses and work that a request to stop interrupts, and blocking calls."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


async def to_thread_uncancelled(
    call: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
) -> Result:
    """Call it in a thread. Cancelling this waits for it to return: a server that is half started can't be stopped."""
    running = asyncio.ensure_future(asyncio.to_thread(call, *args, **kwargs))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait({running})
        raise


async def sleep_unless_stopped(stop: asyncio.Event, seconds: float) -> None:
    """Wait for so long, or until `stop` is set."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return


async def unless_stopped(stop: asyncio.Event, work: Coroutine[Any, Any, Result]) -> Result | None:
    """The result of `work`, or None if `stop` is set first, in which case `work` is cancelled. Raises what `work`
    raises.
    """
    working, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (working, stopping):
            task.cancel()
        await asyncio.wait({working, stopping})
    return None if working.cancelled() else working.result()


async def until_first(*work: Coroutine[Any, Any, None]) -> None:
    """Run all at once until one of them ends, or fails, which is raised; the others are cancelled and awaited."""
    await _together(work, asyncio.FIRST_COMPLETED)


async def until_all(*work: Coroutine[Any, Any, None]) -> None:
    """Run all at once until all have ended. If one raises, the others are cancelled and awaited, and the error is
    raised.
    """
    await _together(work, asyncio.FIRST_EXCEPTION)


async def _together(work: Iterable[Coroutine[Any, Any, None]], until: str) -> None:
    tasks = [asyncio.create_task(each) for each in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=until)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in done:
        task.result()

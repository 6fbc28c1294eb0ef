"""Work that stands and falls together."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any


async def until_first(*work: Coroutine[Any, Any, None]) -> None:
    """Do all at once until one of them ends, or fails, which is raised; the others are cancelled and waited for."""
    await _together(work, asyncio.FIRST_COMPLETED)


async def until_all(*work: Coroutine[Any, Any, None]) -> None:
    """Do all at once until all have ended. What one raises is raised; the others are cancelled then, and waited for."""
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

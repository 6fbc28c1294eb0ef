"""Work that stands and falls together, and work in threads."""

import asyncio
import time

import pytest

from service.runtime.tasks import to_thread_uncancelled, until_all, until_first

pytestmark = pytest.mark.anyio


async def test_when_one_ends_the_others_are_ended() -> None:
    ended = []

    async def wait() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.01)
            ended.append("wait")

    async def end() -> None:
        await asyncio.sleep(0.01)

    await until_first(wait(), end())
    assert ended == ["wait"]


async def test_what_one_raises_comes_out() -> None:
    async def fail() -> None:
        raise ValueError("this")

    with pytest.raises(ValueError, match="this"):
        await until_first(asyncio.sleep(60), fail())


async def test_all_may_end_in_their_own_time() -> None:
    ended = []

    async def end(after: float) -> None:
        await asyncio.sleep(after)
        ended.append(after)

    await until_all(end(0.02), end(0.0), end(0.01))
    assert ended == [0.0, 0.01, 0.02]


async def test_unless_one_fails() -> None:
    cancelled = []

    async def wait() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append("wait")
            raise

    async def fail() -> None:
        await asyncio.sleep(0.01)
        raise ValueError("this")

    with pytest.raises(ValueError, match="this"):
        await until_all(wait(), asyncio.sleep(0), fail())
    assert cancelled == ["wait"]


async def test_cancelling_ends_all() -> None:
    task = asyncio.create_task(until_first(asyncio.sleep(60), asyncio.sleep(60)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_thread_is_waited_for_even_when_cancelled() -> None:
    done = []

    def work(what: str) -> None:
        time.sleep(0.1)
        done.append(what)

    task = asyncio.create_task(to_thread_uncancelled(work, "all of it"))
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done == ["all of it"]

"""A pause between two turns of a loop, which a request to stop cuts short."""

import asyncio


async def rest(stop: asyncio.Event, seconds: float) -> None:
    """Wait for so long, or until `stop` is set."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return

"""Waiting for the API of this machine to answer."""

import asyncio

import aiohttp

from service.runtime.settings import Settings
from service.runtime.sockets import connectable_host

POLL_SECONDS = 0.1


def local_api_url(settings: Settings) -> str:
    """The address of the API on this machine, without a trailing slash."""
    return f"http://{connectable_host(settings.http_host)}:{settings.http_port}"


async def wait_until_live(settings: Settings) -> None:
    """Return once the API answers."""
    timeout = aiohttp.ClientTimeout(total=5)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        while True:
            if await _is_live(session, f"{local_api_url(settings)}/livez"):
                return
            await asyncio.sleep(POLL_SECONDS)


async def _is_live(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as response:
            return response.ok
    except (aiohttp.ClientError, OSError):
        return False

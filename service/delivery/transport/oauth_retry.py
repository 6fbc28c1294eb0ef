"""Sends a request with a bearer token, and retries with a fresh token if the receiver no longer accepts the old one."""

import asyncio
from dataclasses import replace
from http import HTTPStatus
from uuid import UUID

from aiohttp import ClientSession

from service.delivery.transport.http import Reply, Request, send
from service.delivery.transport.oauth_tokens import TokenCache
from service.targets.target import Credentials


async def send_authorized(
    session: ClientSession,
    tokens: TokenCache,
    endpoint_id: UUID,
    credentials: Credentials,
    request: Request,
    timeout_seconds: float,
) -> Reply:
    """Send the request with the endpoint's token; after a 401 once more with a fresh one. Nothing is raised.

    All of it takes no longer than `timeout_seconds`, which the delivery's lease allows for.
    """
    clock = asyncio.get_running_loop().time
    deadline = clock() + timeout_seconds
    for _ in range(2):
        token = await tokens.bearer(endpoint_id, credentials, deadline - clock())
        if isinstance(token, Reply):
            return token
        reply = await send(session, _bearing(request, token), deadline - clock())
        if reply.status != HTTPStatus.UNAUTHORIZED:
            break
        tokens.forget(endpoint_id, token)
    return reply


def _bearing(request: Request, token: str) -> Request:
    others = {name: value for name, value in request.headers.items() if name.lower() != "authorization"}
    return replace(request, headers={**others, "Authorization": f"Bearer {token}"})

"""A receiver of webhooks, as a customer's CRM would have one. It verifies signatures itself, not with the sender's
code.
"""

import base64
import hashlib
import hmac
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from aiohttp import web

TOLERANCE_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Received:
    """A webhook that arrived."""

    at: datetime
    verified: bool
    type: str
    data: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The name of the account that it is about."""
        return str(self.data.get("account_name") or self.data.get("account_id") or "many accounts")


class WebhookReceiver:
    """Answers 204 to webhooks signed with its secret, 401 to anything else."""

    def __init__(self, on_webhook: Callable[[Received], None]) -> None:
        """`on_webhook` is called with every webhook that arrives."""
        self.secret = ""
        self._on_webhook = on_webhook

    @asynccontextmanager
    async def listening(self, port: int) -> AsyncIterator[str]:
        """Listen on 127.0.0.1 while the block runs; gives the URL. Raises OSError if the port is taken."""
        app = web.Application()
        app.router.add_post("/webhooks", self._receive)
        runner = web.AppRunner(app, shutdown_timeout=1.0, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
            yield f"http://127.0.0.1:{port}/webhooks"
        finally:
            await runner.cleanup()

    async def _receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        verified = verify(self.secret, request.headers, body, time.time())
        try:
            message = msgspec.json.decode(body, type=_Message)
        except msgspec.DecodeError:
            return web.Response(status=400)
        self._on_webhook(Received(datetime.now().astimezone(), verified, message.type, message.data))
        return web.Response(status=204 if verified else 401)


class _Message(msgspec.Struct):
    type: str
    data: dict[str, Any]


def verify(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> bool:
    """True if a message has a signature of the Standard Webhooks specification by `secret`, made just now."""
    message_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not timestamp.isdecimal() or abs(now - int(timestamp)) > TOLERANCE_SECONDS:
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signature = hmac.digest(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256)
    wanted = "v1," + base64.b64encode(signature).decode()
    given = headers.get("webhook-signature", "").split()
    return any(hmac.compare_digest(each.encode(), wanted.encode()) for each in given)

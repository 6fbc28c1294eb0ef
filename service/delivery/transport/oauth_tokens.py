"""Bearer tokens of endpoints that must sign in: OAuth 2.0, grant type client credentials (RFC 6749, section 4.4)."""

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Annotated
from urllib.parse import urlencode
from uuid import UUID

import msgspec
from aiohttp import ClientSession
from msgspec import Meta, Struct

from service.delivery.transport.http import Reply, Request, send
from service.delivery.transport.url_rules import check_url
from service.runtime.errors import HealthError
from service.runtime.settings import Settings
from service.targets.answer import LIMITED, ReceiverAnswer, plain_verdict
from service.targets.target import Credentials

LIFE_SECONDS = 1_800.0
"""The lifetime of a token whose answer names none."""

USED_SHARE = 0.9
"""The share of the stated lifetime for which a token is used: it must not expire on its way."""

KEEP_BYTES = 16_384  # signed tokens (JWT) take some kilobytes
_CODE = re.compile(r"[a-z_]{1,40}")
_HEADERS = {
    "Content-Type": "application/x-www-form-urlencoded",
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "User-Agent": "account-health",
}


class _Answer(Struct):
    access_token: Annotated[str, Meta(pattern=r"^[\x21-\x7e]+$")]  # what a header can hold
    expires_in: Annotated[float, Meta(gt=0)] | None = None


class _Refusal(Struct):
    error: str = ""


@dataclass(slots=True)
class _Slot:
    """The token of one endpoint. The task that holds the lock fetches it; the others wait and find it."""

    credentials: Credentials
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    token: str | None = field(default=None, repr=False)
    until: float = 0.0


class TokenCache:
    """Fetches tokens and caches them, per endpoint and credentials, for their lifetime. In memory only."""

    def __init__(
        self, session: ClientSession, settings: Settings, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`session` checks addresses; the URLs of token servers are checked like webhook URLs."""
        self._session = session
        self._settings = settings
        self._clock = clock
        self._slots: dict[UUID, _Slot] = {}

    async def bearer(self, endpoint_id: UUID, credentials: Credentials, timeout_seconds: float) -> str | Reply:
        """The endpoint's token, or the reply of an attempt that failed without one; it contains no secret.

        Takes no longer than `timeout_seconds`, waiting for another task's fetch included.
        """
        slot = self._slot(endpoint_id, credentials)
        try:
            async with asyncio.timeout(timeout_seconds), slot.lock:
                if slot.token is not None and self._clock() < slot.until:
                    return slot.token
                answer = await self._fetch(credentials, timeout_seconds)
                if isinstance(answer, Reply):
                    return answer
                slot.token, slot.until = answer.access_token, self._clock() + _life(answer)
                return slot.token
        except TimeoutError:
            return _no_token("it did not arrive in time")

    def forget(self, endpoint_id: UUID, token: str) -> None:
        """Drop a `token` that the endpoint refused, unless it has been replaced already; the next call fetches a
        fresh one.
        """
        slot = self._slots.get(endpoint_id)
        if slot is not None and slot.token == token:
            slot.token = None

    def _slot(self, endpoint_id: UUID, credentials: Credentials) -> _Slot:
        slot = self._slots.get(endpoint_id)
        if slot is None or slot.credentials != credentials:
            slot = self._slots[endpoint_id] = _Slot(credentials)
        return slot

    async def _fetch(self, credentials: Credentials, timeout_seconds: float) -> _Answer | Reply:
        try:
            url = check_url(
                credentials.token_url,
                allow_http=self._settings.webhook_allow_http,
                allow=self._settings.webhook_allow_networks,
            )
        except HealthError as error:
            return _no_token(f"token_{error}")  # such errors begin with the field's name, url
        form = {
            "grant_type": "client_credentials",
            "client_id": credentials.client_id,
            "client_secret": credentials.client_secret,
        }
        request = Request(url, _HEADERS, urlencode(form).encode())
        return _read(await send(self._session, request, timeout_seconds, keep_bytes=KEEP_BYTES), credentials)


def _read(reply: Reply, credentials: Credentials) -> _Answer | Reply:
    if reply.error is not None:
        return _no_token(reply.error)
    if reply.status != HTTPStatus.OK:
        return _refused(reply, credentials)
    try:
        # Some send `expires_in` as text.
        return msgspec.json.decode(reply.excerpt, type=_Answer, strict=False)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _no_token("the answer of token_url has no usable access_token")


def _refused(reply: Reply, credentials: Credentials) -> Reply:
    why = f"token_url answered {reply.status}{_code(reply.excerpt, credentials)}"
    limited = plain_verdict(ReceiverAnswer(reply.status or 0, reply.headers, b"")) == LIMITED
    # Headers and body are only used to read a wait from them.
    return replace(_no_token(why, reply.retry_after), headers=reply.headers, body=reply.body, limited=limited)


def _code(excerpt: bytes, credentials: Credentials) -> str:
    """The error code of RFC 6749, section 5.2, and nothing else of the answer, which may echo the request."""
    try:
        code = msgspec.json.decode(excerpt, type=_Refusal).error
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""
    return f" ({code})" if _CODE.fullmatch(code) and code not in credentials.client_secret else ""


def _life(answer: _Answer) -> float:
    return LIFE_SECONDS if answer.expires_in is None else answer.expires_in * USED_SHARE


def _no_token(why: str, retry_after: str | None = None) -> Reply:
    return Reply(failure="token", error=f"no token: {why}", retry_after=retry_after)

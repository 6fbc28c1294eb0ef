"""A client of the service's HTTP API, as any other program would write it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
from msgspec import Struct

from service.runtime.errors import HealthError

RULE = {"name": "At risk", "kind": "score", "direction": "below", "level": 40, "clear_level": 45}
ENDPOINT = "The demo's own receiver"


class AccountScore(Struct, frozen=True):
    """An account in a list."""

    account_id: str
    name: str | None
    score: float | None
    band: str


class _Accounts(Struct):
    items: list[AccountScore]


_accounts = msgspec.json.Decoder(_Accounts)


class ApiClient:
    """Calls the API with a key."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        """`session` has the API's address and the key."""
        self._session = session

    @classmethod
    @asynccontextmanager
    async def connected(cls, url: str, key: str) -> AsyncIterator["ApiClient"]:
        """A client while the block runs."""
        headers = {"Authorization": f"Bearer {key}"}
        timeout = aiohttp.ClientTimeout(total=10)
        async with aiohttp.ClientSession(url, headers=headers, timeout=timeout) as session:
            yield cls(session)

    async def accounts(self, most: int) -> Sequence[AccountScore]:
        """All accounts, if there are no more than `most`."""
        return _accounts.decode(await self._call("GET", f"/v1/accounts?page_size={most}")).items

    async def ensure_rule(self) -> None:
        """Create the demo's alert rule, unless it exists."""
        rules = msgspec.json.decode(await self._call("GET", "/v1/alert-rules"))["items"]
        if all(rule["name"] != RULE["name"] for rule in rules):
            await self._call("POST", "/v1/alert-rules", RULE)

    async def has_endpoint(self, url: str) -> bool:
        """True if webhooks go to `url`."""
        return any(endpoint["url"] == url for endpoint in await self._endpoints())

    async def create_endpoint(self, url: str) -> str:
        """Create an endpoint for `url`, replacing those of earlier receivers of the demo; returns the secret that signs
        its messages.
        """
        for endpoint in await self._endpoints():
            if endpoint["description"] == ENDPOINT:
                await self._call("DELETE", f"/v1/webhook-endpoints/{endpoint['id']}")
        body = {"url": url, "description": ENDPOINT}
        created = msgspec.json.decode(await self._call("POST", "/v1/webhook-endpoints", body))
        return str(created["secret"])

    async def _endpoints(self) -> Sequence[dict[str, Any]]:
        found: Sequence[dict[str, Any]] = msgspec.json.decode(await self._call("GET", "/v1/webhook-endpoints"))["items"]
        return found

    async def _call(self, method: str, path: str, body: Any = None) -> bytes:
        async with self._session.request(method, path, json=body) as response:
            answer = await response.read()
        if response.status >= 400:
            raise HealthError(f"{method} {path} was answered with {response.status}: {answer.decode(errors='replace')}")
        return answer

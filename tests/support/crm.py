"""Stand-ins for CRMs on this machine: they answer as HubSpot and Salesforce do, and keep their requests."""

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote

from aiohttp import web

from service.runtime.vault import Vault
from tests.support.webhooks import compact, local_settings

CLIENT_SECRET = "the-consumer-secret"


@dataclass(frozen=True)
class Asked:
    """One request, with its path as it was sent."""

    method: str
    path: str
    authorization: str | None
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read."""
        return json.loads(self.body)


@dataclass
class Crm:
    """A server while it stands, and every request it got."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)


def sealed(value: object) -> bytes:
    """A JSON object in the sealed form of endpoints' `headers` and `options`."""
    return Vault(local_settings().encryption_key).seal(compact(value))


def reply(status: int, body: object = None, **headers: str) -> web.Response:
    """An answer with a JSON body, or with none."""
    text = None if body is None else json.dumps(body)
    return web.Response(status=status, text=text, content_type="application/json", headers=headers)


@asynccontextmanager
async def crm(answer: Callable[[Asked], Awaitable[web.Response]]) -> AsyncIterator[Crm]:
    """A server with these answers while the block runs."""
    kept = Crm()

    async def handle(request: web.Request) -> web.StreamResponse:
        asked = Asked(request.method, request.raw_path, request.headers.get("Authorization"), await request.read())
        kept.asked.append(asked)
        return await answer(asked)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        kept.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield kept
    finally:
        await runner.cleanup()


async def hubspot_done(asked: Asked) -> web.Response:
    """200 with the company, as for a successful upsert."""
    [company] = asked.json["inputs"]
    times = {"createdAt": "2026-03-01T12:00:01.000Z", "updatedAt": "2026-03-01T12:00:01.000Z"}
    result = {"id": "512", "properties": company["properties"], **times, "archived": False, "new": True}
    return reply(200, {"status": "COMPLETE", "results": [result], "startedAt": times["createdAt"]})


@dataclass
class Salesforce:
    """An org: it issues tokens, forgets them on request, and knows some accounts."""

    accounts: dict[str, Any] = field(default_factory=dict)
    tokens: list[str] = field(default_factory=list)
    expired: set[str] = field(default_factory=set)
    expires_in: object = None
    field_is_there: bool = True

    async def __call__(self, asked: Asked) -> web.Response:
        """Answer a request."""
        if asked.path == "/services/oauth2/token":
            return self._token(asked)
        token = (asked.authorization or "").removeprefix("Bearer ")
        if token not in self.tokens or token in self.expired:
            return reply(401, [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}])
        if not self.field_is_there:
            problem = {"errorCode": "NOT_FOUND", "message": "The requested resource does not exist"}
            return reply(404, [problem])
        if "/composite" in asked.path:
            return self._composite(asked)
        path = asked.path.partition("?")[0]
        if re.search(r"\.[A-Za-z0-9]{1,8}$", unquote(path)):
            return reply(404, [{"errorCode": "NOT_FOUND", "message": "The requested resource does not exist"}])
        if asked.method == "GET":
            return reply(200, {"totalSize": 0, "done": True, "records": []})
        known = asked.path in self.accounts
        if not known and asked.path.endswith("?updateOnly=true"):
            return reply(404, [{"errorCode": "NOT_FOUND", "message": "The requested resource does not exist"}])
        self.accounts[asked.path] = asked.json
        return reply(204) if known else reply(201, {"id": "001D000000IqhSLIAZ", "success": True, "errors": []})

    def _composite(self, asked: Asked) -> web.Response:
        if "records" in asked.json:
            [record] = asked.json["records"]
            account_id = record[asked.path.rpartition("/")[2]]
            created = account_id not in self.accounts
            self.accounts[account_id] = {name: record[name] for name in record.keys() - {"attributes"}}
            return reply(200, [{"id": "001D000000IqhSLIAZ", "success": True, "created": created, "errors": []}])
        found, updated = asked.json["compositeRequest"]
        query = parse_qs(found["url"].partition("?")[2])["q"][0]
        asked_for = re.search(r"= '(.*)' LIMIT", query)
        assert asked_for
        account_id = re.sub(r"\\(.)", r"\1", asked_for[1])
        records = [{"Id": "001D000000IqhSLIAZ"}] if account_id in self.accounts else []
        parts = [{"body": {"records": records}, "httpStatusCode": 200, "referenceId": "found"}]
        if records:
            self.accounts[account_id] = updated["body"]
            parts.append({"body": None, "httpStatusCode": 204, "referenceId": "updated"})
        else:
            problem = {"errorCode": "PROCESSING_HALTED", "message": "Invalid reference specified."}
            parts.append({"body": [problem], "httpStatusCode": 400, "referenceId": "updated"})
        return reply(200, {"compositeResponse": parts})

    def _token(self, asked: Asked) -> web.Response:
        form = parse_qs(asked.body.decode())
        if form["grant_type"] != ["client_credentials"] or form["client_secret"] != [CLIENT_SECRET]:
            return reply(400, {"error": "invalid_client", "error_description": f"no client has {asked.body!r}"})
        self.tokens.append(f"00D-token!{len(self.tokens)}")
        lasting = {} if self.expires_in is None else {"expires_in": self.expires_in}
        return reply(200, {"access_token": self.tokens[-1], "token_type": "Bearer", "scope": "api", **lasting})

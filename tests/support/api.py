"""The HTTP API in tests: the real server on a free port, a clock that tests set, and a client that keeps the
answers.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
from fastapi import FastAPI
from multidict import CIMultiDictProxy
from sqlalchemy.ext.asyncio import AsyncEngine
from yarl import URL

from service.api.app import create_app
from service.api.server import listen, run
from service.messaging.publisher import NotPublishedError, Publisher, RawRecord, Record
from service.runtime.api_key import Scope, new_key
from service.runtime.ids import new_id
from service.runtime.settings import Settings
from service.storage.access import api_keys
from service.storage.database.engine import create_engine
from tests.support.service import settings_for


@dataclass
class Clock:
    """A clock that stands still until the test sets it."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __call__(self) -> datetime:
        return self.now


class Recorder(Publisher):
    """A publisher that keeps its records; or refuses them, as if Kafka were away."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.raw_records: list[RawRecord] = []
        self.is_away = False

    async def start(self) -> None:
        """Connect to nothing."""

    async def stop(self) -> None:
        """Disconnect from nothing."""

    async def publish(self, records: Sequence[Record | RawRecord]) -> None:
        if self.is_away:
            raise NotPublishedError("as the test wants it")
        for record in records:
            if isinstance(record, RawRecord):
                self.raw_records.append(record)
            else:
                self.records.append(record)


@dataclass(frozen=True)
class Answer:
    """An answer."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def items(self) -> Any:
        return self.json["items"]

    @property
    def fields(self) -> list[str]:
        """The fields that a problem names."""
        return [error["field"] for error in self.json["errors"]]


@dataclass
class Api:
    """A running API and a client of it, by default with a key of scope admin."""

    app: FastAPI
    session: aiohttp.ClientSession
    url: str
    key: str
    clock: Clock
    publisher: Recorder

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        key: str | None = "",
        headers: dict[str, str] | None = None,
        raw: Any = None,
    ) -> Answer:
        """Send a request. `body` goes as JSON, `raw` unchanged; `key` None sends none. The path goes unchanged."""
        sent = {"Content-Type": "application/json"} if body is not None else {}
        if key is not None:
            sent["Authorization"] = f"Bearer {key or self.key}"
        data = raw if body is None else json.dumps(body).encode()
        url = URL(self.url + path, encoded=True)
        async with self.session.request(method, url, data=data, headers=sent | (headers or {})) as response:
            return Answer(response.status, response.headers, await response.read())

    async def get(self, path: str, **options: Any) -> Answer:
        return await self.call("GET", path, **options)

    async def put(self, path: str, body: object, **options: Any) -> Answer:
        return await self.call("PUT", path, body, **options)

    async def post(self, path: str, body: object = None, **options: Any) -> Answer:
        return await self.call("POST", path, body, **options)

    async def patch(self, path: str, body: object, **options: Any) -> Answer:
        return await self.call("PATCH", path, body, **options)

    async def delete(self, path: str, **options: Any) -> Answer:
        return await self.call("DELETE", path, **options)

    async def all_items(self, path: str) -> list[Any]:
        """Every item of a list, page by page."""
        items: list[Any] = []
        token = ""
        while True:
            page = (await self.get(f"{path}&page_token={token}" if token else path)).json
            items += page["items"]
            token = page["next_page_token"]
            if token is None:
                return items


async def make_key(engine: AsyncEngine, scope: Scope, *, expires_at: datetime | None = None) -> str:
    """Create a key in the database; returns its text."""
    key = new_key()
    async with engine.begin() as connection:
        await api_keys.create(
            connection,
            new_id(),
            name=f"a key of scope {scope}",
            digest=key.digest,
            hint=key.hint,
            scopes=[scope],
            now=datetime.now(UTC),
            expires_at=expires_at,
        )
    return key.text


@asynccontextmanager
async def serving(app: FastAPI, settings: Settings) -> AsyncIterator[str]:
    """The app in the real server; gives its URL."""
    listening = listen(settings.model_copy(update={"http_port": 0}))
    stop = asyncio.Event()
    server = asyncio.create_task(run(app, listening, stop))
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        stop.set()
        await server


@asynccontextmanager
async def running(
    settings: Settings, key: str = "", publisher: Publisher | None = None, clock: Clock | None = None
) -> AsyncIterator[Api]:
    """The API over a database, and over Kafka if `publisher` is a real one."""
    engine = create_engine(settings, "api", longest_statement=settings.http_timeout_seconds)
    clock = clock or Clock()
    recorder = Recorder()
    app = create_app(settings, engine, publisher or recorder, clock)
    try:
        async with serving(app, settings) as url, aiohttp.ClientSession() as session:
            yield Api(app, session, url, key, clock, recorder)
    finally:
        await engine.dispose()


@pytest.fixture
async def api(database_url: str, engine: AsyncEngine) -> AsyncIterator[Api]:
    """The API over a database of the test's own, with published records in `api.publisher`."""
    settings = settings_for(database_url, "127.0.0.1:1", "", encryption_key="a key that is only for tests")
    async with running(settings, await make_key(engine, "admin")) as api:
        yield api

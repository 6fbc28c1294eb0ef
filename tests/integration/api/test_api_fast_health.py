"""The shortcut to today's health: it answers what the route does, and what it can't know it leaves to the route."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from scoring.state.calendar import day_of, to_micros
from scoring.state.events import Event, TicketEvent, UsageEvent
from service.api.health_fast_path import HealthFastPath
from service.evaluation.evaluate import advance_accounts
from service.evaluation.policy import load_policy
from tests.support.api import Answer, Api, make_key
from tests.support.service import query

pytestmark = pytest.mark.anyio

START = datetime(2030, 1, 31, 9, tzinfo=UTC)
PATH = "/v1/accounts/acme/health"


@pytest.fixture(autouse=True)
async def _an_account(engine: AsyncEngine, api: Api) -> None:
    api.clock.now = START
    for ago in (40, 20, 9, 3, 0):
        await fold(engine, START - timedelta(days=ago), usage(START - timedelta(days=ago)))
    await known(api)


async def fold(engine: AsyncEngine, now: datetime, *events: Event) -> None:
    """What a consumer does."""
    async with engine.begin() as connection:
        policy = await load_policy(connection, 92)
        await advance_accounts(connection, {"acme": events}, policy, now, base_url="http://test")


def usage(now: datetime) -> UsageEvent:
    at = to_micros(now)
    return UsageEvent("acme", at, day_of(at), day_of(at), "login", 1, 1, f"u{at}", "/app")


def ticket(now: datetime) -> TicketEvent:
    at = to_micros(now)
    return TicketEvent("acme", at, day_of(at), "t", "1", "open", "urgent", at, source="/desk")


async def known(api: Api, key: str = "") -> None:
    """Let the route look up the key and the policy, which are then known for a second."""
    api.app.state.context.policies.forget()
    assert (await api.get(f"{PATH}?day={api.clock.now.date()}", key=key)).status == 200


class Passed:
    """The rest of the service: notes that something was left to it."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        self.paths.append(scope["path"])
        await send({"type": "http.response.start", "status": 299, "headers": []})
        await send({"type": "http.response.body", "body": b""})


class Shortcut:
    """The shortcut alone, asked as the server would."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._fast = HealthFastPath(Passed(), api.app.state.context, Route(PATH, lambda _: None))

    async def __call__(
        self,
        path: str = PATH,
        *,
        method: str = "GET",
        query: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body; 299 where it was left to the rest."""
        given = {"authorization": f"Bearer {self._api.key}"} if headers is None else headers
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        async def receive() -> Message:
            return {"type": "http.request", "body": b""}

        scope: dict[str, Any] = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in given.items()],
        }
        await self._fast(scope, receive, send)
        start, body = sent
        return start["status"], {name.decode(): value.decode() for name, value in start["headers"]}, body["body"]

    @property
    def key(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self._api.key}"}


@pytest.fixture
async def shortcut(api: Api) -> Shortcut:
    return Shortcut(api)


async def routed(api: Api) -> Answer:
    """What the route answers: with a query, a request never takes the shortcut."""
    return await api.get(f"{PATH}?day={api.clock.now.date()}")


async def test_it_answers_what_the_route_does(engine: AsyncEngine, api: Api, shortcut: Shortcut) -> None:
    rule = {"name": "At risk", "kind": "score", "direction": "below", "level": 100}
    override = {"band": "red", "reason": "Their champion left", "author": "Dana", "expires_at": "2030-03-01T00:00:00Z"}

    async def fire() -> None:
        assert (await api.post("/v1/alert-rules", rule)).status == 201
        await fold(engine, START, ticket(START))

    async def acknowledge() -> None:
        (alert,) = (await api.get("/v1/alerts")).items
        body = {"by": "ann"}
        assert (await api.post(f"/v1/alerts/{alert['id']}/acknowledge", body)).status == 200

    async def set_by_hand() -> None:
        assert (await api.put(f"{PATH}/override", override)).status == 200

    async def nothing() -> None:
        pass

    for change in (nothing, fire, acknowledge, set_by_hand):
        await change()
        await known(api)
        route = await routed(api)
        status, headers, body = await shortcut()
        assert (status, body) == (200, route.body), change
        for name in ("ETag", "Content-Type", "Content-Length"):
            assert headers[name.lower()] == route.headers[name]
        whole = await api.get(PATH)
        assert whole.body == route.body
        assert set(whole.headers) == set(route.headers)
    assert len(route.json["alerts"]) == 1
    assert route.json["override"]["author"] == "Dana"
    assert None not in route.json["trend"].values()


async def test_an_unchanged_answer_costs_a_304(shortcut: Shortcut) -> None:
    _, headers, _ = await shortcut()
    again = await shortcut(headers={**shortcut.key, "if-none-match": f'"other", W/{headers["etag"]}'})
    assert again == (304, {"etag": headers["etag"]}, b"")
    assert (await shortcut(headers={**shortcut.key, "if-none-match": '"other"'}))[0] == 200


async def test_what_is_asked_in_another_way_is_left_to_the_route(api: Api, shortcut: Shortcut) -> None:
    for path in (
        "/v1/accounts/nobody/health",
        "/v1/accounts/ac%6De/health",
        "/v1/accounts//health",
        "/v1/accounts/health",
        "/v1/accounts/a/b/health",
        "/v1/accounts/acme/health/history",
        "/v1/accounts/acme",
        f"/v1/accounts/{'a' * 257}/health",
        "/v1/accounts/acmé/health",
    ):
        assert (await shortcut(path))[0] == 299, path
    assert (await shortcut(method="PUT"))[0] == 299
    assert (await shortcut(query="day=2030-01-30"))[0] == 299


async def test_only_a_key_that_was_just_used_opens_it(engine: AsyncEngine, api: Api, shortcut: Shortcut) -> None:
    for value in ("", "Bearer", "Bearer hk_none", f"Basic {api.key}", api.key, f"Bearer  {api.key}", "Bearer \xff"):
        assert (await shortcut(headers={"authorization": value}))[0] == 299, value
    assert (await shortcut(headers={}))[0] == 299
    expiring = await make_key(engine, "read", expires_at=START + timedelta(hours=1))
    header = {"authorization": f"Bearer {expiring}"}
    assert (await shortcut(headers=header))[0] == 299
    await known(api, expiring)
    assert (await shortcut(headers=header))[0] == 200
    api.clock.now += timedelta(hours=1)
    assert (await shortcut(headers=header))[0] == 299


async def test_what_no_longer_holds_is_left_to_the_route(engine: AsyncEngine, api: Api, shortcut: Shortcut) -> None:
    assert (await shortcut())[0] == 200
    api.app.state.context.policies.forget()
    assert (await shortcut())[0] == 299, "what is in force isn't known"
    await known(api)
    api.clock.now = datetime(2030, 1, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    assert (await shortcut())[0] == 200
    api.clock.now += timedelta(microseconds=1)
    assert (await shortcut())[0] == 299, "the day has ended"
    api.clock.now = START
    assert (await api.put(f"{PATH}/override", _until(START + timedelta(hours=1)))).status == 200
    await known(api)
    assert (await shortcut())[0] == 200
    api.clock.now += timedelta(hours=1)
    assert (await shortcut())[0] == 299, "what was set by hand has ended"
    api.clock.now = START
    measure = {"measure": "active_days", "window": 30, "weight": 1, "curve": [[0, 12.5], [30, 12.5]]}
    assert (await api.post("/v1/scorecards", {"name": "default", "measures": [measure]})).status == 201
    await known(api)
    assert (await shortcut())[0] == 299, "another scorecard is in force"
    assert (await api.get(PATH)).json["score"] == 12.5


def _until(moment: datetime) -> dict[str, object]:
    return {"band": "red", "reason": "on holiday", "author": "bob", "expires_at": moment.isoformat()}


async def test_connections_that_were_cut_are_nothing_to_hear_of(engine: AsyncEngine, api: Api) -> None:
    assert (await api.get(PATH)).status == 200
    for _ in range(3):
        await query(
            engine,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name LIKE 'account-health api%'",
        )
        assert [(await api.get(PATH)).status for _ in range(5)] == [200] * 5


async def test_it_is_measured_and_named_as_the_route_is(api: Api) -> None:
    before = await answered(api)
    answer = await api.get(PATH, headers={"X-Request-Id": "mine"})
    assert answer.headers["X-Request-Id"] == "mine"
    assert await answered(api) == before + 1


async def answered(api: Api) -> float:
    """The number of answers that the metrics of the route count."""
    count = "health_http_request_seconds_count{"
    label = 'method="GET",route="/v1/accounts/{account_id}/health",status="200"'
    told = (await api.get("/metrics")).body.decode().splitlines()
    (line,) = [line for line in told if line.startswith(count + label)]
    return float(line.rpartition(" ")[2])

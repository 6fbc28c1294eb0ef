"""Today's health, asked for plainly: it is served more directly than other requests, and must be answered the same."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from scoring.state.calendar import day_of, to_micros
from scoring.state.events import Event, TicketEvent, UsageEvent
from service.evaluation.evaluate import Inputs, advance_accounts
from service.evaluation.policy import load_policy
from tests.integration.api.test_api_errors import assert_problem
from tests.support.api import Answer, Api, make_key
from tests.support.service import query

pytestmark = pytest.mark.anyio

START = datetime(2030, 1, 31, 9, tzinfo=UTC)
PATH = "/v1/accounts/acme/health"
OF_ITS_OWN = {"x-request-id", "ratelimit", "date"}
"""Headers that differ from request to request."""


@pytest.fixture(autouse=True)
async def _an_account(engine: AsyncEngine, api: Api) -> None:
    api.clock.now = START
    for ago in (40, 20, 9, 3, 0):
        await fold(engine, START - timedelta(days=ago), usage(START - timedelta(days=ago)))


async def fold(engine: AsyncEngine, now: datetime, *events: Event) -> None:
    """Fold events as a consumer does."""
    async with engine.begin() as connection:
        policy = await load_policy(connection, 92)
        await advance_accounts(connection, Inputs({"acme": events}), policy, now, base_url="http://test")


def usage(now: datetime) -> UsageEvent:
    at = to_micros(now)
    return UsageEvent("acme", at, day_of(at), day_of(at), "login", 1, 1, f"u{at}", "/app")


def ticket(now: datetime) -> TicketEvent:
    at = to_micros(now)
    return TicketEvent("acme", at, day_of(at), "t", "1", "open", "urgent", at, source="/desk")


async def alike(
    api: Api, path: str = PATH, *, method: str = "GET", key: str | None = "", headers: Mapping[str, str] | None = None
) -> Answer:
    """The answer to a plain request, which is that to the same request with its day, whatever is cached."""
    api.app.state.context.policies.forget()
    given = dict(headers or {})
    dated = await api.call(method, f"{path}?day={api.clock.now.date()}", key=key, headers=given)
    for _ in range(2):
        plain = await api.call(method, path, key=key, headers=given)
        assert (plain.status, plain.body) == (dated.status, dated.body), path
        assert essence(plain) == essence(dated), path
    return plain


def essence(answer: Answer) -> dict[str, str]:
    """The headers, in lower case, and the values of those that are the same each time."""
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return {name: "" if name in OF_ITS_OWN else value for name, value in headers.items()}


async def test_it_is_answered_as_with_its_day(engine: AsyncEngine, api: Api) -> None:
    rule = {"name": "At risk", "kind": "score", "direction": "below", "level": 100}
    override = {"band": "red", "reason": "Their champion left", "author": "Dana", "expires_at": "2030-03-01T00:00:00Z"}
    before = await alike(api)
    assert (before.json["alerts"], before.json["override"]) == ([], None)

    assert (await api.post("/v1/alert-rules", rule)).status == 201
    await fold(engine, START, ticket(START))
    (alert,) = (await alike(api)).json["alerts"]

    assert (await api.post(f"/v1/alerts/{alert['id']}/acknowledge", {"by": "ann"})).status == 200
    assert (await alike(api)).json["alerts"][0]["acknowledged_by"] == "ann"

    assert (await api.put(f"{PATH}/override", override)).status == 200
    health = (await alike(api)).json
    assert health["override"]["author"] == "Dana"
    assert None not in health["trend"].values()


async def test_an_unchanged_answer_costs_a_304(api: Api) -> None:
    tag = (await alike(api)).headers["ETag"]
    unchanged = await alike(api, headers={"If-None-Match": f'"other", W/{tag}'})
    assert (unchanged.status, unchanged.body, unchanged.headers["ETag"]) == (304, b"", tag)
    assert "Content-Type" not in unchanged.headers
    assert (await alike(api, headers={"If-None-Match": '"other"'})).status == 200
    head = await alike(api, method="HEAD")
    assert (head.status, head.body, head.headers["ETag"]) == (200, b"", tag)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/accounts/nobody/health", 404),
        ("/v1/accounts/ac%6De/health", 200),
        ("/v1/accounts//health", 404),
        ("/v1/accounts/health", 404),
        ("/v1/accounts/a/b/health", 404),
        ("/v1/accounts/a%2Fb/health", 404),
        ("/v1/accounts/acm%C3%A9/health", 404),
        ("/v1/accounts/acm%E9/health", 404),
        ("/v1/accounts/acme%00/health", 422),
        ("/v1/accounts/acme%0A/health", 422),
        (f"/v1/accounts/{'a' * 256}/health", 404),
        (f"/v1/accounts/{'a' * 257}/health", 422),
    ],
    ids=lambda value: value if isinstance(value, int) else value[-20:],
)
async def test_paths(api: Api, path: str, status: int) -> None:
    answer = await alike(api, path)
    assert answer.status == status
    if status == 422:
        assert answer.fields == ["account_id"]


async def test_other_methods_and_days(api: Api) -> None:
    assert (await alike(api, method="PUT")).status == 405
    assert (await api.get(f"{PATH}?day=2030-01-30")).json["day"] == "2030-01-30"
    assert (await api.get(f"{PATH}?day=2030-02-01")).status == 422
    assert (await api.get(f"{PATH}?day=2029-12-01")).status == 404


async def test_keys(engine: AsyncEngine, api: Api) -> None:
    for value in ("", "Bearer", "Bearer hk_none", f"Basic {api.key}", api.key, "Bearer \xff", f"Bearer {api.key} x"):
        assert_problem(await alike(api, key=None, headers={"Authorization": value}), 401)
    assert_problem(await alike(api, key=None), 401)
    for value in (f"Bearer {api.key}", f"bearer {api.key}"):
        assert (await alike(api, key=None, headers={"Authorization": value})).status == 200
    expiring = await make_key(engine, "read", expires_at=START + timedelta(hours=1))
    assert (await alike(api, key=expiring)).status == 200
    api.clock.now += timedelta(hours=1)
    assert_problem(await alike(api, key=expiring), 401)


async def test_errors(engine: AsyncEngine, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken:
        broken.setattr("service.api.resources.health.document", None)
        assert_problem(await api.get(PATH), 500)
    assert (await alike(api)).status == 200
    async with engine.begin() as connection:
        await connection.execute(text("ALTER TABLE scores RENAME TO elsewhere"))
    assert_problem(await alike(api), 503)


async def test_what_no_longer_holds_is_recomputed(engine: AsyncEngine, api: Api) -> None:
    assert (await alike(api)).json["evaluated_at"] == "2030-01-31T09:00:00Z"
    api.clock.now = datetime(2030, 1, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    assert (await alike(api)).json["evaluated_at"] == "2030-01-31T09:00:00Z"
    api.clock.now += timedelta(microseconds=1)
    assert (await alike(api)).json["evaluated_at"] == "2030-02-01T00:00:00Z", "the day has ended"
    api.clock.now = START
    assert (await api.put(f"{PATH}/override", _until(START + timedelta(hours=1)))).status == 200
    assert (await alike(api)).json["override"]["author"] == "bob"
    api.clock.now += timedelta(hours=1)
    assert (await alike(api)).json["override"] is None, "what was set by hand has ended"
    api.clock.now = START
    measure = {"measure": "active_days", "window": 30, "weight": 1, "curve": [[0, 12.5], [30, 12.5]]}
    assert (await api.post("/v1/scorecards", {"name": "default", "measures": [measure]})).status == 201
    assert (await alike(api)).json["score"] == 12.5, "another scorecard is in force"


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


async def test_a_read_that_is_cut_off_is_repeated(engine: AsyncEngine, api: Api) -> None:
    assert (await api.get(PATH)).status == 200
    waiting = (
        "FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' "
        "AND application_name LIKE 'account-health api%'"
    )
    async with engine.begin() as connection:
        await connection.execute(text("LOCK TABLE scores"))
        asked = asyncio.create_task(api.get(PATH))
        while not await query(engine, f"SELECT pg_terminate_backend(pid) {waiting}"):
            await asyncio.sleep(0.01)
    assert (await asked).status == 200


async def test_it_is_measured_by_its_route(api: Api) -> None:
    before = await answered(api)
    answer = await api.get(PATH, headers={"X-Request-Id": "mine"})
    assert answer.headers["X-Request-Id"] == "mine"
    assert await answered(api) == before + 1


async def answered(api: Api) -> float:
    """The number of answers that the metrics of the route count."""
    count = "health_http_request_seconds_count{"
    label = 'method="GET",route="/v1/accounts/{account_id}/health",status="200"'
    told = (await api.get("/metrics")).body.decode().splitlines()
    found = [line for line in told if line.startswith(count + label)]
    return float(found[0].rpartition(" ")[2]) if found else 0.0

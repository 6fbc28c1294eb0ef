"""Access by API keys: their scopes and their lifetime. `test_api_walk` tries them on every route."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import InterfaceError
from sqlalchemy.ext.asyncio import AsyncEngine

from service.api.access import key_cache
from service.api.access.key_cache import KeyCache
from service.runtime.api_key import SCOPES, Scope, new_key
from service.storage.database.tables import api_keys
from tests.support.api import Api, Clock, make_key
from tests.support.api_walk import OPEN, all_steps

pytestmark = pytest.mark.anyio

ADMIN_ONLY = "/v1/api-keys"
CHANGE_NOTHING = {"/v1/scorecards/validate", "/v1/scorecards/diff"}
"""Questions that need a body, and so are POST requests."""


async def test_the_documentation_names_every_route_and_its_scope(api: Api) -> None:
    paths = (await api.get("/openapi.json", key=None)).json["paths"]
    described = {(method.upper(), path) for path, operations in paths.items() for method in operations}
    assert described == {step for step in all_steps(api) if step.path not in OPEN - {"/livez", "/readyz"}}
    for path, operations in paths.items():
        for method, operation in operations.items():
            if path not in OPEN:
                ((scope,),) = (needed["key"] for needed in operation["security"])
                reads = method == "get" or path in CHANGE_NOTHING
                expected = "admin" if path.startswith(ADMIN_ONLY) else "read" if reads else "write"
                assert scope == expected, (method, path)
            assert operation["summary"]


async def test_a_key_opens_what_its_scope_covers_and_nothing_else(engine: AsyncEngine, api: Api) -> None:
    keys: dict[Scope, str] = {scope: await make_key(engine, scope) for scope in SCOPES}
    attempts: list[tuple[str, str, Scope]] = [
        ("GET", "/v1/accounts", "read"),
        ("GET", "/metrics", "read"),
        ("POST", "/v1/scorecards", "write"),
        ("DELETE", "/v1/accounts/acme", "write"),
        ("GET", "/v1/api-keys", "admin"),
        ("POST", "/v1/api-keys", "admin"),
    ]
    for method, path, needed in attempts:
        for scope, key in keys.items():
            answer = await api.call(method, path, key=key)
            if SCOPES.index(scope) < SCOPES.index(needed):
                assert answer.status == 403
                assert needed in answer.json["detail"]
                assert answer.headers["WWW-Authenticate"] == f'Bearer error="insufficient_scope", scope="{needed}"'
            else:
                assert answer.status not in (401, 403), (method, path, scope)


async def test_other_credentials_open_nothing(engine: AsyncEngine, api: Api) -> None:
    expired = await make_key(engine, "admin", expires_at=api.clock.now)
    for given in (
        f"Bearer {expired}",
        f"Bearer {new_key().text}",
        f"Bearer {api.key}x",
        "Bearer ",
        "Bearer",
        f"Basic {api.key}",
        api.key,
        f"Bearer {api.key} {api.key}",
        "Bearer \xff",
    ):
        answer = await api.get("/v1/accounts", key=None, headers={"Authorization": given})
        assert answer.status == 401, given
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


async def test_keys_are_made_listed_and_deleted(engine: AsyncEngine, api: Api) -> None:
    body = {"name": "crm", "scopes": ["write", "read"], "expires_at": "2999-01-31T00:00:00Z"}
    created = await api.post("/v1/api-keys", body)
    assert (created.status, created.headers["Cache-Control"]) == (201, "no-store")
    made = created.json
    key = made.pop("key")
    assert key.startswith("hk_")
    assert (made["scopes"], made["expires_at"]) == (["read", "write"], body["expires_at"])
    assert (await api.get("/v1/accounts", key=key)).status == 200

    listed = await api.all_items("/v1/api-keys?page_size=1")
    assert [each["name"] for each in listed] == ["a key of scope admin", "crm"]
    assert listed[1] == {**made, "last_used_at": listed[1]["last_used_at"]}
    path = f"/v1/api-keys/{made['id']}"
    assert key not in (await api.get(path)).body.decode()
    async with engine.connect() as connection:
        for row in (await connection.execute(select(api_keys))).all():
            assert key.encode() not in repr(row).encode()

    assert (await api.delete(path)).status == 204
    assert (await api.get("/v1/accounts", key=key)).status == 401
    assert (await api.delete(path)).status == (await api.get(path)).status == 404


async def test_a_key_that_can_t_be_is_refused_by_field(api: Api) -> None:
    good = {"name": "crm", "scopes": ["read"]}
    for change, field in (
        ({"name": ""}, "name"),
        ({"name": "a\x00"}, "name"),
        ({"name": 7}, "name"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["root"]}, "scopes[0]"),
        ({"scopes": "read"}, "scopes"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "2999-01-01T00:00:00"}, "expires_at"),
        ({"expires_at": 7}, "expires_at"),
        ({"key": "hk_mine"}, "key"),
    ):
        answer = await api.post("/v1/api-keys", good | change)
        assert (answer.status, answer.fields) == (422, [field]), change


async def last_used(engine: AsyncEngine) -> datetime | None:
    async with engine.connect() as connection:
        moment: datetime | None = (await connection.execute(select(api_keys.c.last_used_at))).scalar_one()
        return moment


async def test_last_use_is_kept_to_the_minute(engine: AsyncEngine) -> None:
    clock, key = Clock(datetime(2030, 1, 31, tzinfo=UTC)), await make_key(engine, "read")
    seconds = 0.0
    known = KeyCache(engine, clock, lambda: seconds)
    used = []
    for _ in range(5):
        assert await known.find(key)
        used.append(await last_used(engine))
        clock.now += timedelta(seconds=25)
        seconds += 25
    first, later = datetime(2030, 1, 31, tzinfo=UTC), datetime(2030, 1, 31, 0, 1, 15, tzinfo=UTC)
    assert used == [first, first, first, later, later]


async def test_a_key_deleted_elsewhere_is_good_for_ten_seconds_at_most(engine: AsyncEngine) -> None:
    key = await make_key(engine, "read")
    seconds = 0.0
    known = KeyCache(engine, Clock(), lambda: seconds)
    assert await known.find(key)
    async with engine.begin() as connection:
        await connection.execute(api_keys.delete())
    seconds = 4.9
    assert await known.find(key)
    seconds = 10.0
    assert await known.find(key) is None


async def test_while_one_request_looks_a_key_up_again_the_others_go_on(engine: AsyncEngine) -> None:
    key = await make_key(engine, "read")
    seconds = 0.0
    known = KeyCache(engine, Clock(), lambda: seconds)
    assert await known.find(key)
    async with engine.begin() as connection:
        await connection.execute(text("LOCK TABLE api_keys"))
        await connection.execute(api_keys.delete())
        seconds = 5.0
        looking = asyncio.create_task(known.find(key))
        await asyncio.sleep(0.1)
        seconds = 9.9
        assert all(await asyncio.wait_for(asyncio.gather(*(known.find(key) for _ in range(20))), 1))
        seconds = 10.0
        late = asyncio.create_task(known.find(key))
        await asyncio.sleep(0.1)
        assert [looking.done(), late.done()] == [False, False]
    assert (await looking, await late, await known.find(key)) == (None, None, None)


async def test_a_key_expires_to_the_second_though_it_is_remembered(engine: AsyncEngine) -> None:
    clock = Clock(datetime(2030, 1, 31, tzinfo=UTC))
    key = await make_key(engine, "read", expires_at=clock.now + timedelta(seconds=1))
    known = KeyCache(engine, clock, lambda: 0.0)
    assert await known.find(key)
    clock.now += timedelta(seconds=1)
    assert await known.find(key) is None


async def test_known_keys_outlast_an_outage_of_postgres(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    key, stranger = await make_key(engine, "read"), new_key().text
    seconds = 0.0
    known = KeyCache(engine, Clock(), lambda: seconds)
    assert await known.find(key)

    async def away(*_: object) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr("service.storage.access.api_keys.find", away)
    seconds = 299.0
    assert await known.find(key)
    for other, at in ((stranger, 299.0), (key, 301.0)):
        seconds = at
        with pytest.raises(ConnectionRefusedError):
            await known.find(other)

    async def broken(*_: object) -> None:
        raise InterfaceError("", None, Exception("a mistake of ours"))

    monkeypatch.setattr("service.storage.access.api_keys.find", broken)
    seconds = 200.0
    with pytest.raises(InterfaceError):
        await known.find(key)


async def test_many_keys_do_not_fill_the_memory(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_cache, "MOST_KEPT", 2)
    keys = [await make_key(engine, "read") for _ in range(4)]
    known = KeyCache(engine, Clock(), lambda: 0.0)
    for key in keys:
        assert await known.find(key)
    assert await known.find(new_key().text) is None
    async with engine.begin() as connection:
        await connection.execute(update(api_keys).values(scopes=["write"]))
    remembered, forgotten = await known.find(keys[-1]), await known.find(keys[0])
    assert remembered is not None
    assert forgotten is not None
    assert (remembered.scopes, forgotten.scopes) == (["read"], ["write"])

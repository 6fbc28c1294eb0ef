"""/v1/accounts over HTTP: attributes written and read back, odd ids, lists and pages, erasing."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from sqlalchemy import Table, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from service.messaging.cloudevents import decode_structured
from service.runtime.ids import new_id
from service.storage.database.tables import (
    alerts,
    dead_letters,
    deliveries,
    listed_accounts,
    metadata,
    scores,
    webhook_endpoints,
)
from tests.support.api import Api

pytestmark = pytest.mark.anyio

ATTRIBUTES = {
    "name": "Acme",
    "segment": "enterprise",
    "stage": "live",
    "owner": "ann@example.com",
    "seats": 40,
    "arr": 12000.5,
    "started_on": "2024-02-29",
    "renews_on": "2030-01-31",
    "churned_on": None,
    "parent_id": "holding",
}


async def test_what_was_put_is_read_at_once(api: Api) -> None:
    answer = await api.put("/v1/accounts/acme", ATTRIBUTES)
    assert answer.status == 200
    read = (await api.get("/v1/accounts/acme")).json
    assert read == answer.json
    assert {name: read[name] for name in ATTRIBUTES} == ATTRIBUTES
    assert (await api.get("/v1/accounts/acme/health")).json["evaluated_at"] == read["evaluated_at"]


async def test_only_what_is_given_changes_and_null_clears(api: Api) -> None:
    await api.put("/v1/accounts/acme", ATTRIBUTES)
    api.clock.now += timedelta(seconds=1)
    changed = (await api.put("/v1/accounts/acme", {"seats": 41, "owner": None})).json
    assert (changed["seats"], changed["owner"], changed["name"]) == (41, None, "Acme")


async def test_a_put_is_published_as_an_event_that_replays_to_the_same(api: Api) -> None:
    await api.put("/v1/accounts/a%2Fb", {"seats": 5})
    ((topic, key, value),) = api.publisher.records
    event = msgspec.json.decode(value)
    assert (topic, key) == ("account-events", "a/b")
    assert (event["source"], event["subject"], event["type"]) == ("/v1/accounts", "a/b", "account.changed")
    taken_at = round(api.clock.now.timestamp() * 1_000_000)
    assert decode_structured("account", value, taken_at).event.account_id == "a/b"


async def test_nothing_changes_when_kafka_is_away(api: Api) -> None:
    api.publisher.is_away = True
    answer = await api.put("/v1/accounts/acme", {"seats": 5})
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert (await api.get("/v1/accounts/acme")).status == 404


BAD_ATTRIBUTES: list[tuple[object, str]] = [
    ({"seats": "5"}, "seats"),
    ({"seats": -1}, "seats"),
    ({"seats": 1.5}, "seats"),
    ({"arr": -1}, "arr"),
    ({"started_on": "29.2.2024"}, "started_on"),
    ({"name": "a\x00b"}, "name"),
    ({"name": ""}, "name"),
    ({"colour": "red"}, "colour"),
]


async def test_bad_attributes_are_named_and_nothing_is_published(api: Api) -> None:
    for body, field in BAD_ATTRIBUTES:
        answer = await api.put("/v1/accounts/acme", body)
        assert (answer.status, answer.fields) == (422, [field]), body
    assert api.publisher.records == []


ODD_IDS = [
    "a/b",
    "ü",
    "two words",
    "a%2Fb",
    "100%",
    "?#&=+",
    "/",
    "..a",
    "health",
    "x/health",
    "日本",
    "日本\u3000東京",
    "a\u00a0b",
    "\u200f\u2028\ue000",
    "a" * 256,
]


async def test_account_ids_may_hold_any_character_but_controls(api: Api) -> None:
    for account_id in ODD_IDS:
        path = "/v1/accounts/" + quote(account_id, safe="")
        assert (await api.put(path, {"name": account_id[:200]})).json["account_id"] == account_id
        assert (await api.get(path)).json["name"] == account_id[:200]
        assert (await api.get(path + "/health")).json["account_id"] == account_id
    assert {item["account_id"] for item in await api.all_items("/v1/accounts?page_size=5")} == set(ODD_IDS)
    for account_id in ODD_IDS:
        assert (await api.delete("/v1/accounts/" + quote(account_id, safe=""))).status == 204


async def test_other_account_ids_are_refused(api: Api) -> None:
    for path in ("a%00b", "a%0Ab", "a%7Fb", "a%C2%85b", "a" * 257, "a" * 10_000, quote("ü" * 257)):
        for method, body in (("GET", None), ("DELETE", None), ("PUT", {"seats": 1})):
            answer = await api.call(method, f"/v1/accounts/{path}", body)
            assert (answer.status, answer.fields) == (422, ["account_id"]), (method, path)


async def test_a_path_that_is_not_utf8_leads_nowhere(api: Api) -> None:
    for answer in (await api.get("/v1/accounts/%ff"), await api.put("/v1/accounts/%ff", {"seats": 1})):
        assert (answer.status, answer.headers["Content-Type"]) == (404, "application/problem+json")
    assert api.publisher.records == []


async def fill(engine: AsyncEngine, api: Api, scored: dict[str, float | None]) -> None:
    """Accounts with the given scores."""
    for account_id, score in scored.items():
        await api.put(f"/v1/accounts/{account_id}", {"segment": account_id[0], "owner": "ann"})
        band = "unknown" if score is None else "green" if score >= 70 else "yellow" if score >= 40 else "red"
        async with engine.begin() as connection:
            values = {"score": score, "band": band}
            for table in (scores, listed_accounts):
                await connection.execute(table.update().where(table.c.account_id == account_id).values(values))


SCORED: dict[str, float | None] = {"a1": 10.0, "a2": 50.0, "b1": None, "b2": 50.0, "c1": 90.0, "c2": None, "c3": 0.1}


ORDERS = [
    ("account_id", "a1 a2 b1 b2 c1 c2 c3"),
    ("-account_id", "c3 c2 c1 b2 b1 a2 a1"),
    ("score", "c3 a1 a2 b2 c1 b1 c2"),
    ("-score", "c1 b2 a2 a1 c3 c2 b1"),
]


async def test_every_page_size_gives_the_same_list(engine: AsyncEngine, api: Api) -> None:
    await fill(engine, api, SCORED)
    for sort, expected in ORDERS:
        for size in (1, 2, 3, 7, 8):
            items = await api.all_items(f"/v1/accounts?sort={sort}&page_size={size}")
            assert [item["account_id"] for item in items] == expected.split(), (sort, size)


async def test_pages_by_time_of_evaluation(engine: AsyncEngine, api: Api) -> None:
    for account_id in ("b", "c", "a"):
        await api.put(f"/v1/accounts/{account_id}", {})
        api.clock.now += timedelta(microseconds=1)
    items = await api.all_items("/v1/accounts?sort=-evaluated_at&page_size=1")
    assert [item["account_id"] for item in items] == ["a", "c", "b"]


async def test_accounts_that_come_and_go_meanwhile_don_t_disturb_the_pages(engine: AsyncEngine, api: Api) -> None:
    await fill(engine, api, SCORED)
    first = (await api.get("/v1/accounts?page_size=3")).json
    assert [item["account_id"] for item in first["items"]] == ["a1", "a2", "b1"]
    await api.put("/v1/accounts/a0", {})
    await api.delete("/v1/accounts/b1")
    await api.put("/v1/accounts/b11", {})
    second = (await api.get(f"/v1/accounts?page_size=3&page_token={first['next_page_token']}")).json
    assert [item["account_id"] for item in second["items"]] == ["b11", "b2", "c1"]


FILTERS = [
    ("band=red", "a1 c3"),
    ("band=red&band=green", "a1 c1 c3"),
    ("segment=a&segment=b", "a1 a2 b1 b2"),
    ("segment=c&band=unknown", "c2"),
    ("min_score=50", "a2 b2 c1"),
    ("max_score=50&min_score=10", "a1 a2 b2"),
    ("owner=ann&stage=live", ""),
    ("owner=bob", ""),
]


async def test_filters(engine: AsyncEngine, api: Api) -> None:
    await fill(engine, api, SCORED)
    for query, expected in FILTERS:
        found = [item["account_id"] for item in (await api.get(f"/v1/accounts?{query}")).items]
        assert found == expected.split(), query


async def test_what_is_shown_is_exact_and_never_contradicts_the_filter(engine: AsyncEngine, api: Api) -> None:
    """Rows for lists may be off by less than a tenth of a point, and by more after an earlier version."""
    await fill(engine, api, SCORED)

    async def show(account_id: str, **values: object) -> None:
        async with engine.begin() as connection:
            await connection.execute(scores.update().where(scores.c.account_id == account_id).values(values))

    async def listed(query: str) -> list[tuple[str, float | None]]:
        return [(item["account_id"], item["score"]) for item in (await api.get(f"/v1/accounts?{query}")).items]

    await show("a2", score=50.06)
    await show("c1", band="red")
    await show("b2", score=50.03)
    assert await listed("min_score=50.05&sort=score") == [("c1", 90.0)]
    assert await listed("max_score=50.05&min_score=40&sort=score") == [("b2", 50.03)]
    assert await listed("min_score=50&sort=score") == [("b2", 50.03), ("a2", 50.06), ("c1", 90.0)]
    assert await listed("min_score=50&sort=-score") == [("c1", 90.0), ("a2", 50.06), ("b2", 50.03)]
    assert await listed("band=green") == []


async def test_an_account_changes_with_its_score_and_not_with_its_attributes(api: Api) -> None:
    created = api.clock.now
    for path in ("/v1/accounts/acme", "/v1/accounts/acme", "/v1/accounts/acme"):
        answer = await api.put(path, {"owner": str(api.clock.now)})
        assert answer.json["changed_at"] == (await api.get(path)).json["changed_at"]
        assert datetime.fromisoformat(answer.json["changed_at"]) == created
        assert datetime.fromisoformat(answer.json["evaluated_at"]) == api.clock.now
        api.clock.now += timedelta(minutes=1)
    (item,) = (await api.get("/v1/accounts?sort=evaluated_at")).items
    assert datetime.fromisoformat(item["changed_at"]) == created


async def test_changed_since(api: Api) -> None:
    await api.put("/v1/accounts/early", {})
    api.clock.now += timedelta(minutes=1)
    await api.put("/v1/accounts/late", {})
    since = quote(api.clock.now.isoformat())
    assert [item["account_id"] for item in (await api.get(f"/v1/accounts?changed_since={since}")).items] == ["late"]


BAD_QUERIES = [
    ("band=purple", "band[0]"),
    ("bandd=red", "bandd"),
    ("page_size=0", "page_size"),
    ("page_size=1001", "page_size"),
    ("page_size=x", "page_size"),
    ("min_score=nan", "min_score"),
    ("min_score=101", "min_score"),
    ("changed_since=yesterday", "changed_since"),
    ("changed_since=0.5", "changed_since"),
    ("changed_since=1769850001", "changed_since"),
    ("changed_since=2030-01-01T00:00:00", "changed_since"),
    ("segment=a%00", "segment[0]"),
    ("sort=name", "sort"),
    ("page_token=x", "page_token"),
    ("page_token=%00", "page_token"),
    ("page_token=WyJhIiwiYSJd", "page_token"),  # of versions before
    ("sort=score&page_token=Wzc1LjAsImEiXQ", "page_token"),
    ("sort=-evaluated_at&page_token=WyIyMDMwLTAxLTMxVDA5OjAwOjAwWiIsImEiLGZhbHNlXQ", "page_token"),
    ("sort=score&page_token=WyJhY2NvdW50X2lkIiwiYSIsImEiXQ", "page_token"),  # of another list
    ("sort=score&page_token=WyItc2NvcmUiLDc1LjAsImEiXQ", "page_token"),
    ("page_token=WyJhY2NvdW50X2lkIiwiYSIsImFcdTAwMDAiXQ", "page_token"),  # holds a NUL
]


async def test_a_query_that_can_t_be_is_refused_by_field(api: Api) -> None:
    for query, field in BAD_QUERIES:
        answer = await api.get(f"/v1/accounts?{query}")
        assert (answer.status, answer.fields) == (422, [field]), query


def rows_about(table: Table, account_id: str) -> dict[str, Any]:
    """Values for a row of a table with an account_id, whatever the table."""
    special: dict[str, dict[str, Any]] = {
        "alerts": {"id": new_id(), "sequence": 1, "rule": "r", "type": "t", "state": "firing", "data": {}},
        "dead_letters": {
            "topic": "t",
            "partition": 0,
            "offset": hash(account_id) % 2**31,
            "reason": "r",
            "headers": [],
            "recorded_at": datetime.now(UTC),
        },
        "churn_expectations": {
            "outcome_on": date(2026, 1, 5),
            "decided_on": date(2026, 1, 2),
            "first_day": date(2026, 1, 3),
            "last_day": date(2026, 1, 19),
        },
        "listed_accounts": {"band": "unknown", "changed_at": datetime.now(UTC)},
        "forecast_crossings": {
            "rule_id": new_id(),
            "day": date(2026, 1, 2),
            "made_at": datetime.now(UTC),
        },
        "history": {
            "day": date(2026, 1, 2),
            "since": date(2026, 1, 1),
            "band": "unknown",
            "coverage": 0.0,
            "scorecard": "default",
            "scorecard_version": 1,
            "readings": [],
        },
    }
    plain = {"state": b""} if "state" in table.c and table.name.endswith("_states") else {}
    return {"account_id": account_id, **special.get(table.name, plain)}


async def test_erasing_leaves_nothing_of_the_account_and_all_of_the_others(engine: AsyncEngine, api: Api) -> None:
    about_accounts = [table for table in metadata.sorted_tables if "account_id" in table.c]
    assert {"accounts", "scores", "alerts", "dead_letters", "ticket_states"} <= {table.name for table in about_accounts}
    async with engine.begin() as connection:
        endpoint_id = new_id()
        await connection.execute(insert(webhook_endpoints).values(id=endpoint_id, url="https://x.example", secret=b""))
        for account_id in ("gone", "kept"):
            for table in about_accounts:
                await connection.execute(insert(table).values(rows_about(table, account_id)))
            alert_id = select(alerts.c.id).where(alerts.c.account_id == account_id).scalar_subquery()
            delivery = {"id": new_id(), "alert_id": alert_id, "endpoint_id": endpoint_id}
            await connection.execute(insert(deliveries).values(delivery))

    assert (await api.delete("/v1/accounts/gone")).status == 204
    async with engine.connect() as connection:
        for table in about_accounts:
            assert list((await connection.execute(select(table.c.account_id))).scalars()) == ["kept"], table.name
        assert len((await connection.execute(select(deliveries))).all()) == 1
    assert (await api.delete("/v1/accounts/gone")).status == 404


async def test_what_is_only_a_dead_letter_can_be_erased(engine: AsyncEngine, api: Api) -> None:
    async with engine.begin() as connection:
        await connection.execute(insert(dead_letters).values(rows_about(dead_letters, "mistyped")))
    assert (await api.delete("/v1/accounts/mistyped")).status == 204

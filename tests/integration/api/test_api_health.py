"""The health route: its answer equals a recomputation for today, for any stored score."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from scoring.history.day_by_day import evaluate_now
from scoring.state.calendar import day_of, to_micros
from scoring.state.events import Event, SurveyEvent, TicketEvent, UsageEvent
from service.evaluation.changes import read_state
from service.evaluation.evaluate import Inputs, advance_accounts
from service.evaluation.policy import load_policy
from service.storage.accounts import states
from service.storage.database.tables import scores
from tests.support.api import Api

pytestmark = pytest.mark.anyio

START = datetime(2030, 1, 31, 9, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _fixed_time(api: Api) -> None:
    api.clock.now = START


async def fold(engine: AsyncEngine, now: datetime, *events: Event) -> None:
    """Fold events as a consumer does."""
    async with engine.begin() as connection:
        policy = await load_policy(connection, 92)
        by_account: dict[str, list[Event]] = {}
        for event in events:
            by_account.setdefault(event.account_id, []).append(event)
        await advance_accounts(connection, Inputs(by_account), policy, now, base_url="http://test")


def usage(now: datetime, feature: str = "login", user: int = 1, *, account_id: str = "acme") -> UsageEvent:
    at = to_micros(now)
    return UsageEvent(account_id, at, day_of(at), day_of(at), feature, user, 1)


def a_life(now: datetime) -> list[Event]:
    """Some events of every kind, over two months."""
    days = [now - timedelta(days=ago) for ago in range(0, 60, 3)]
    at, day = to_micros(now - timedelta(hours=1)), day_of(to_micros(now))
    return [
        *(usage(moment, f"feature-{index % 4}", index % 5) for index, moment in enumerate(days)),
        TicketEvent("acme", at, day, "t1", "1", "open", "urgent", to_micros(now - timedelta(days=9))),
        SurveyEvent("acme", at, day, "s1", "nps", 7, 9_000_000, 10_000_000),
    ]


async def recomputed(engine: AsyncEngine, now: datetime) -> dict[str, Any]:
    """The evaluation of the stored state, as the answer should have it."""
    async with engine.connect() as connection:
        policy = await load_policy(connection, 92)
        (row,) = await states.read(connection, ["acme"])
    evaluation = evaluate_now(read_state(row), policy, to_micros(now))
    assert evaluation.score is not None
    measures = [
        (name, result.value, result.score, result.contribution, result.missing)
        for name, result in evaluation.measures.items()
    ]
    return {"score": evaluation.score, "band": evaluation.band, "coverage": evaluation.coverage, "measures": measures}


def essence(health: dict[str, Any]) -> dict[str, Any]:
    """The same of an answer."""
    measures = [
        tuple(measure[name] for name in ("name", "value", "score", "contribution", "missing"))
        for measure in health["measures"]
    ]
    return {**{name: health[name] for name in ("score", "band", "coverage")}, "measures": measures}


async def test_the_stored_score_is_answered_and_equals_a_recomputation(engine: AsyncEngine, api: Api) -> None:
    await fold(engine, START, *a_life(START))
    api.clock.now += timedelta(hours=2)
    health = (await api.get("/v1/accounts/acme/health")).json
    assert essence(health) == await recomputed(engine, api.clock.now)
    assert health["evaluated_at"] == "2030-01-31T09:00:00Z"
    assert health["day"] == "2030-01-31"
    assert health["scorecard"] == {"name": "default", "version": 1}
    assert health["freshness"] == {
        "usage": "2030-01-31T09:00:00Z",
        "ticket": "2030-01-31T08:00:00Z",
        "survey": "2030-01-31T08:00:00Z",
    }
    counted = [measure["contribution"] for measure in health["measures"] if measure["contribution"] is not None]
    assert sum(counted) == pytest.approx(health["score"])
    assert {measure["name"]: measure["window"] for measure in health["measures"]}["nps"] == 90
    assert list(health) == [
        "account_id", "score", "churn_probability", "band", "coverage", "day", "evaluated_at", "scorecard", "trend",
        "override", "drivers", "measures", "values_of", "alerts", "freshness",
    ]  # fmt: skip


async def test_on_a_later_day_today_s_score_is_computed_and_nothing_written(engine: AsyncEngine, api: Api) -> None:
    await fold(engine, START, *a_life(START))
    before = (await api.get("/v1/accounts/acme/health")).json
    api.clock.now = START + timedelta(days=20)
    health = (await api.get("/v1/accounts/acme/health")).json
    assert (health["day"], health["evaluated_at"]) == ("2030-02-20", "2030-02-20T09:00:00Z")
    assert essence(health) == await recomputed(engine, api.clock.now)
    assert health["score"] < before["score"]
    async with engine.connect() as connection:
        assert (await connection.execute(select(scores.c.evaluated_at))).scalar_one() == START


async def test_a_moment_before_midnight_is_still_the_day(engine: AsyncEngine, api: Api) -> None:
    await fold(engine, START, *a_life(START))
    api.clock.now = datetime(2030, 1, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    assert (await api.get("/v1/accounts/acme/health")).json["evaluated_at"] == "2030-01-31T09:00:00Z"
    api.clock.now += timedelta(microseconds=1)
    assert (await api.get("/v1/accounts/acme/health")).json["day"] == "2030-02-01"


async def test_a_new_scorecard_is_in_force_at_once(engine: AsyncEngine, api: Api) -> None:
    await fold(engine, START, *a_life(START))
    measure = {"measure": "active_days", "window": 30, "weight": 1, "curve": [[0, 12.5], [30, 12.5]]}
    assert (await api.post("/v1/scorecards", {"name": "default", "measures": [measure]})).status == 201
    health = (await api.get("/v1/accounts/acme/health")).json
    assert (health["score"], health["scorecard"]["version"]) == (12.5, 2)
    # One for some accounts only, which the stored row can't know of.
    await api.put("/v1/accounts/acme", {"segment": "smb"})
    special = {**measure, "curve": [[0, 99], [30, 99]]}
    body = {"name": "small", "applies_to": {"segments": ["smb"]}, "measures": [special]}
    assert (await api.post("/v1/scorecards", body)).status == 201
    assert (await api.get("/v1/accounts/acme/health")).json["score"] == 99


async def test_a_score_of_a_scorecard_no_longer_in_force_is_not_answered(engine: AsyncEngine, api: Api) -> None:
    await fold(engine, START, *a_life(START))
    async with engine.begin() as connection:
        await connection.execute(scores.update().values(scorecard_version=0, score=1))
    assert (await api.get("/v1/accounts/acme/health")).json["scorecard"]["version"] == 1


async def test_an_account_that_was_never_evaluated(engine: AsyncEngine, api: Api) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("INSERT INTO accounts (account_id) VALUES ('acme')"))
        await connection.execute(text("INSERT INTO scores (account_id) VALUES ('acme')"))
    health = (await api.get("/v1/accounts/acme/health")).json
    assert (health["score"], health["band"]) == (None, "unknown")
    assert health["measures"][0]["missing"] == "no_usage_ever"
    assert health["freshness"] == {"usage": None, "ticket": None, "survey": None}


async def test_alerts_that_fire_now_are_in_it(engine: AsyncEngine, api: Api) -> None:
    rule = {"name": "At risk", "kind": "score", "direction": "below", "level": 100}
    rule_id = (await api.post("/v1/alert-rules", rule)).json["id"]
    await fold(engine, START, *a_life(START))
    (alert,) = (await api.get("/v1/accounts/acme/health")).json["alerts"]
    assert alert.pop("id")
    assert alert == {
        "rule_id": rule_id,
        "rule": "At risk",
        "type": "health.threshold.crossed",
        "sequence": 1,
        "created_at": "2030-01-31T09:00:00Z",
        "acknowledged_at": None,
        "acknowledged_by": None,
        "snoozed_until": None,
    }


async def test_days_to_come_and_what_is_no_day_are_refused(engine: AsyncEngine, api: Api) -> None:
    await fold(engine, START, *a_life(START))
    assert (await api.get("/v1/accounts/acme/health?day=2030-01-31")).status == 200
    for day in ("2030-02-01", "yesterday", "2030-02-30"):
        answer = await api.get(f"/v1/accounts/acme/health?day={day}")
        assert (answer.status, answer.fields) == (422, ["day"])


async def test_an_unknown_account_has_none(api: Api) -> None:
    assert (await api.get("/v1/accounts/acme/health")).status == 404


async def test_an_unchanged_answer_costs_a_304(engine: AsyncEngine, api: Api) -> None:
    await fold(engine, START, *a_life(START))
    paths = ["/v1/accounts/acme/health", "/v1/accounts/acme", "/v1/accounts", "/v1/scorecards", "/v1/alert-rules"]
    for path in paths:
        first = await api.get(path)
        tag = first.headers["ETag"]
        for given in (tag, f"W/{tag}", f'"other", {tag}', "*"):
            again = await api.get(path, headers={"If-None-Match": given})
            assert (again.status, again.body, again.headers["ETag"]) == (304, b"", tag), (path, given)
        for given in ('"other"', tag.strip('"'), ""):
            assert (await api.get(path, headers={"If-None-Match": given})).body == first.body, (path, given)
    tag = (await api.get(paths[0])).headers["ETag"]
    await fold(engine, START, usage(START, "new feature"))
    changed = await api.get(paths[0], headers={"If-None-Match": tag})
    assert changed.status == 200
    assert changed.headers["ETag"] != tag


async def test_head_answers_as_get_without_a_body(engine: AsyncEngine, api: Api) -> None:
    await fold(engine, START, *a_life(START))
    get = await api.get("/v1/accounts/acme/health")
    head = await api.call("HEAD", "/v1/accounts/acme/health")
    assert (head.status, head.body, head.headers["ETag"]) == (200, b"", get.headers["ETag"])


async def test_the_answer_is_what_the_documentation_says(engine: AsyncEngine, api: Api) -> None:
    await fold(engine, START, *a_life(START))
    schemas = (await api.get("/openapi.json", key=None)).json["components"]["schemas"]
    health = (await api.get("/v1/accounts/acme/health")).json
    assert set(schemas["Health"]["properties"]) == set(schemas["Health"]["required"]) == set(health)
    assert set(schemas["MeasureReading"]["properties"]) == set(health["measures"][0])
    msgspec.convert(health["measures"], list[dict[str, str | float | int | None]])

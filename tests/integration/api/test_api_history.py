"""Health on past days, and the causes of its moves: later answers equal those of the day, and explanations add up."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from scoring.state.calendar import day_of, to_micros
from scoring.state.events import AttributesEvent, Event, TicketEvent, UsageEvent
from service.evaluation.evaluate import Inputs, advance_accounts
from service.evaluation.policy import load_policy, starter
from tests.support.api import Api
from tests.support.service import query

pytestmark = pytest.mark.anyio

START = datetime(2030, 1, 1, 9, tzinfo=UTC)
DAYS = 40


@pytest.fixture(autouse=True)
def _fixed_time(api: Api) -> None:
    api.clock.now = START


async def fold(engine: AsyncEngine, now: datetime, *events: Event) -> None:
    """Fold events as a consumer does; without events, evaluate as the sweeper does."""
    async with engine.begin() as connection:
        policy = await load_policy(connection, 92)
        await advance_accounts(connection, Inputs({"acme": events}), policy, now, base_url="http://test")


def usage(now: datetime, number: int) -> UsageEvent:
    at = to_micros(now)
    return UsageEvent("acme", at, day_of(at), day_of(at), f"feature-{number % 3}", number % 5, 1, f"use-{at}", "/app")


def day_after(days: int, hour: int = 9) -> datetime:
    return START.replace(hour=hour) + timedelta(days=days)


async def live(engine: AsyncEngine, api: Api) -> dict[date, Any]:
    """Some weeks of an account: habit, then silence, trouble, another stage; returns the answers at each day's end."""
    onboarding = {**starter("default"), "name": "onboarding", "applies_to": {"stages": ["onboarding"]}}
    onboarding["measures"] = onboarding["measures"][:5]
    assert (await api.post("/v1/scorecards", onboarding)).status == 201
    async with engine.begin() as connection:
        await connection.exec_driver_sql("UPDATE reevaluations SET finished_at = now()")
    answered = {}
    for day in range(DAYS):
        now = day_after(day)
        at = to_micros(now)
        events: list[Event] = [usage(now, day), usage(now + timedelta(minutes=1), day + 1)] if day < 20 else []
        if day == 3:
            events.append(AttributesEvent("acme", at, day_of(at), "s1", {"stage": "onboarding"}, "/crm"))
        if day == 12:
            events.append(AttributesEvent("acme", at, day_of(at), "s2", {"stage": "adoption"}, "/crm"))
        if day in (15, 30):
            ticket = TicketEvent("acme", at, day_of(at), f"t{day}", str(day), "open", "urgent", at, source="/desk")
            events.append(ticket)
        await fold(engine, day_after(day, 1))
        if events:
            await fold(engine, now + timedelta(minutes=2), *events)
        api.clock.now = day_after(day, 23)
        answered[now.date()] = (await api.get("/v1/accounts/acme/health")).json
    return answered


async def test_every_day_is_answered_later_as_it_was_then(engine: AsyncEngine, api: Api) -> None:
    answered = await live(engine, api)
    for day, then in answered.items():
        later = (await api.get(f"/v1/accounts/acme/health?day={day}")).json
        assert _points(later) == _points(then), day
        assert later["day"] == then["day"] == str(day)
        assert later["values_of"] >= str(day)
        assert later["alerts"] == []
        for days, name in ((7, "d7"), (30, "d30")):
            before = answered.get(day - timedelta(days=days))
            wanted = (
                then["score"] - before["score"] if before and None not in (then["score"], before["score"]) else None
            )
            assert later["trend"][name] == then["trend"][name] == pytest.approx(wanted), (day, name)
    assert len({then["score"] for then in answered.values()}) > 20


async def test_history_has_each_day_and_costs_none_where_nothing_changed(engine: AsyncEngine, api: Api) -> None:
    answered = await live(engine, api)
    items = (await api.get(f"/v1/accounts/acme/health/history?from={START.date()}")).items
    assert [item["day"] for item in items] == [str(day) for day in answered]
    for item, then in zip(items, answered.values(), strict=True):
        assert (item["score"], item["band"], item["coverage"]) == (then["score"], then["band"], then["coverage"])
        assert sum(map(_decimal, item["contributions"].values())) == _decimal(item["score"] or 0)
    for before, item in pairwise(items):
        moved = sum(_decimal(each["delta"]) for each in item["changes"])
        assert moved == _decimal(item["score"] or 0) - _decimal(before["score"] or 0)
        same = [before[name] for name in ("contributions", "scorecard")] == [
            item[name] for name in ("contributions", "scorecard")
        ]
        assert bool(item["changes"]) is not same
    (stored,) = await query(engine, "SELECT count(*) AS rows FROM history")
    changed = [item for item in items if item["changes"]]
    assert stored.rows == len(changed) - 1
    (switch,) = [each for each in items[12]["changes"] if each["cause"] == "scorecard"]
    assert switch["notes"] == ["onboarding 1 to default 1"]
    (used,) = [each for each in items[5]["changes"] if each["cause"] == "events"]
    assert used["events"]["count"] == 2
    assert [each["source"] for each in used["events"]["ids"]] == ["/app", "/app"]


async def test_an_explanation_adds_up_between_any_two_days(engine: AsyncEngine, api: Api) -> None:
    answered = await live(engine, api)
    days = list(answered)
    for first, last in ((0, 39), (0, 1), (5, 5), (2, 13), (11, 12), (19, 35), (28, 31), (38, 39)):
        path = f"/v1/accounts/acme/health/explain?from={days[first]}&to={days[last]}"
        why = (await api.get(path)).json
        change = _decimal(answered[days[last]]["score"] or 0) - _decimal(answered[days[first]]["score"] or 0)
        assert _decimal(why["change"]) == change, path
        assert sum(_decimal(each["delta"]) for each in why["causes"]) == change
        assert sum(_decimal(each["delta"]) for each in why["measures"]) == change
        for cause in why["causes"]:
            assert sum(_decimal(each["delta"]) for each in cause["measures"]) == _decimal(cause["delta"])
        assert (why["from"]["score"], why["to"]["score"]) == tuple(answered[days[at]]["score"] for at in (first, last))
        causes = {each["cause"] for each in why["causes"]}
        assert causes <= {"time", "events", "scorecard"}
        assert ("scorecard" in causes) == any(first < day <= last for day in (3, 12))
        if first >= 19 and last < 30:
            assert causes == {"time"}


async def test_an_override_is_a_cause_of_its_own(engine: AsyncEngine, api: Api) -> None:
    answered = await live(engine, api)
    last = day_after(DAYS)
    async with engine.begin() as connection:
        await connection.exec_driver_sql("UPDATE scores SET due_at = '2030-03-01'")
    api.clock.now = last
    body = {"score": 5, "reason": "Their champion left", "author": "Dana"}
    assert (await api.put("/v1/accounts/acme/health/override", body)).status == 200
    health = (await api.get("/v1/accounts/acme/health")).json
    assert (health["override"]["score"], health["override"]["author"]) == (5, "Dana")
    why = (await api.get(f"/v1/accounts/acme/health/explain?from={day_after(DAYS - 1).date()}")).json
    before = answered[day_after(DAYS - 1).date()]["score"]
    assert _decimal(why["change"]) == 5 - _decimal(before)
    (set_by_hand,) = [each for each in why["causes"] if each["cause"] == "override"]
    assert _decimal(set_by_hand["delta"]) == 5 - _decimal(health["score"])
    assert set_by_hand["notes"] == ["set by Dana: Their champion left"]


async def test_what_cannot_be_asked_is_refused_by_name(engine: AsyncEngine, api: Api) -> None:
    await fold(engine, START, usage(START, 1))
    for path in ("history", "explain"):
        base = f"/v1/accounts/acme/health/{path}"
        for asked, field in (
            ("from=2030-01-01&to=2029-12-31", "from"),
            ("to=2030-01-02", "to"),
            ("from=2028-01-01", "from"),
            ("from=yesterday", "from"),
            ("since=2030-01-01", "since"),
        ):
            answer = await api.get(f"{base}?{asked}")
            assert (answer.status, answer.fields) == (422, [field]), asked
        assert (await api.get(f"/v1/accounts/nobody/health/{path}")).status == 404


async def test_before_the_first_day_there_is_neither_a_score_nor_a_cause(engine: AsyncEngine, api: Api) -> None:
    await fold(engine, START, usage(START, 1))
    api.clock.now = day_after(2)
    health = "/v1/accounts/acme/health"
    for path in (
        f"{health}?day=2029-12-31",
        f"{health}/explain?from=2029-12-31",
        f"{health}/explain?from=2029-12-25&to=2030-01-02",
        f"{health}/explain?from=2029-12-25&to=2029-12-31",
        f"{health}/explain?to=2029-12-31",
    ):
        answer = await api.get(path)
        assert (answer.status, answer.json["detail"]) == (404, "This account's history begins on 2030-01-01."), path
    assert (await api.get(f"{health}/explain?from=2030-01-01")).status == 200
    by_default = (await api.get(f"{health}/explain")).json
    assert (by_default["from"]["day"], by_default["to"]["day"]) == ("2030-01-01", "2030-01-03")
    assert {each["cause"] for each in by_default["causes"]} == {"time"}


async def test_where_earlier_days_are_gone_nothing_is_made_up(engine: AsyncEngine, api: Api) -> None:
    """The first day that is left has the changes that its journal records, not its whole score."""
    answered = await live(engine, api)
    first = day_after(30).date()
    kept = (await api.get(f"/v1/accounts/acme/health/history?from={first}")).items
    await query(engine, "DELETE FROM history WHERE day < :first RETURNING 1", first=first)
    items = (await api.get(f"/v1/accounts/acme/health/history?from={min(answered)}")).items
    assert items == kept
    assert {each["cause"] for each in items[0]["changes"]} == {"time", "events"}
    early = await api.get(f"/v1/accounts/acme/health/explain?from={first - timedelta(days=1)}")
    assert (early.status, early.json["detail"]) == (404, f"This account's history begins on {first}.")


def _points(health: dict[str, Any]) -> dict[str, Any]:
    named = {measure["name"]: (measure["score"], measure["contribution"]) for measure in health["measures"]}
    return {**named, **{name: health[name] for name in ("score", "band", "coverage", "scorecard")}}


def _decimal(number: float) -> Decimal:
    return Decimal(repr(number))

"""Accounts that have left: what fires for them is over on that day, nothing begins, and no list foretells them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from consumers.sweep.census import count_once
from consumers.sweep.forecaster import forecast_once
from service.runtime.settings import Settings
from tests.support.api import Api
from tests.support.scraped import value
from tests.support.service import query
from tests.support.sweeping import START, Clock, by_active_days, described, used

pytestmark = pytest.mark.anyio

DAY = timedelta(days=1)


@pytest.fixture
async def clock(engine: AsyncEngine, database_settings: Settings, api: Api) -> Clock:
    """Accounts score 5 points for each active day of the last 30; below 40 they are at risk."""
    clock = Clock(engine, database_settings.model_copy(update={"forecast_share": 1.0}))
    await clock.publish(by_active_days(20), START)
    await clock.reevaluate(START)
    await clock.add_rule("At risk", "score", direction="below", level=40.0)
    api.clock.now = START
    return clock


async def active(clock: Clock, account_id: str, days: int, **attributes: Any) -> None:
    events = [used(account_id, START - day * DAY) for day in range(days)]
    await clock.fold({account_id: [*events, described(account_id, START, **attributes)]}, START)


async def told(engine: AsyncEngine) -> list[tuple[str, str, str | None]]:
    rows = await query(engine, "SELECT account_id, state, data ->> 'churned_on' FROM alerts ORDER BY created_at, id")
    return [tuple(row) for row in rows]


async def test_when_the_day_comes_all_that_fires_is_over_though_nobody_says_anything(
    clock: Clock, engine: AsyncEngine
) -> None:
    leaves = (START + 3 * DAY).date().isoformat()
    await active(clock, "acme", 4, churned_on=leaves)
    await clock.sweep(START + 2 * DAY)
    assert await told(engine) == [("acme", "firing", None)]
    await clock.sweep((START + 3 * DAY).replace(hour=0))
    assert await told(engine) == [("acme", "firing", None), ("acme", "resolved", leaves)]
    for day in range(4, 60, 5):
        await clock.sweep(START + day * DAY)
    assert len(await told(engine)) == 2
    back = START + 61 * DAY
    await clock.fold({"acme": [described("acme", back, churned_on=None)]}, back)
    assert [state for _, state, _ in await told(engine)] == ["firing", "resolved", "firing"]


async def test_one_that_has_left_sets_off_nothing_and_neither_does_one_that_says_so_with_the_event(
    clock: Clock, engine: AsyncEngine
) -> None:
    await active(clock, "gone", 4, churned_on="2020-01-31")
    await active(clock, "today", 4, churned_on=START.date().isoformat())
    assert await told(engine) == []
    await active(clock, "tomorrow", 4, churned_on=(START + DAY).date().isoformat())
    assert await told(engine) == [("tomorrow", "firing", None)]


async def test_a_rule_leaves_out_whom_it_excludes(clock: Clock, engine: AsyncEngine, api: Api) -> None:
    body = {"name": "Others", "kind": "score", "direction": "below", "level": 90, "exclude_stages": ["trial"]}
    created = await api.post("/v1/alert-rules", body)
    assert (created.status, created.json["exclude_stages"]) == (201, ["trial"])
    (row,) = await query(engine, "SELECT document, added FROM alert_rules WHERE name = 'Others'")
    assert "exclude_stages" not in row.document  # the version before would not read it
    assert row.added == {"exclude_stages": ["trial"]}
    clock.policies.forget()
    await active(clock, "trial", 15, stage="trial")
    await active(clock, "live", 15, stage="live")
    assert [account for account, *_ in await told(engine)] == ["live"]
    await clock.fold({"live": [described("live", START + DAY, stage="trial")]}, START + DAY)
    assert [state for _, state, _ in await told(engine)] == ["firing", "resolved"]
    wrong = await api.post("/v1/alert-rules", {**body, "name": "Wrong", "stages": ["trial"]})
    assert (wrong.status, wrong.fields) == (422, ["exclude_stages"])
    changed = await api.patch(f"/v1/alert-rules/{created.json['id']}", {"exclude_stages": None})
    assert "exclude_stages" not in changed.json


async def test_a_rules_playbook_is_in_every_message_of_it(clock: Clock, engine: AsyncEngine, api: Api) -> None:
    link = "https://wiki.example/others?x=1#now"
    body = {"name": "Others", "kind": "score", "direction": "above", "level": 10, "playbook_url": link}
    created = await api.post("/v1/alert-rules", body)
    assert (created.status, created.json["playbook_url"]) == (201, link)
    clock.policies.forget()
    await active(clock, "acme", 15)
    await clock.sweep(START + 40 * DAY)
    rows = await query(engine, "SELECT data FROM alerts WHERE rule = 'Others' ORDER BY sequence")
    assert [(row.data["state"], row.data["playbook_url"]) for row in rows] == [("firing", link), ("resolved", link)]
    refused = await api.post("/v1/alert-rules", {**body, "name": "Wrong", "playbook_url": "http://wiki.example/"})
    assert (refused.status, refused.fields) == (422, ["playbook_url"])
    assert "https://" in refused.json["errors"][0]["message"]


async def test_lists_ask_for_those_that_have_left_or_leave_them_and_others_out(clock: Clock, api: Api) -> None:
    await active(clock, "gone", 4, churned_on="2020-01-31", stage="live")
    await active(clock, "leaving", 4, churned_on=(START + DAY).date().isoformat(), stage="live")
    await active(clock, "staying", 4, stage="trial", owner="ann")

    async def listed(asked: str) -> list[str]:
        return [each["account_id"] for each in await api.all_items(f"/v1/accounts?{asked}")]

    assert await listed("churned=true") == ["gone"]
    assert await listed("churned=false") == ["leaving", "staying"]
    assert await listed("exclude_stages=trial") == ["gone", "leaving"]
    assert await listed("exclude_owners=ann&exclude_stages=x&churned=false&sort=-score") == ["leaving"]
    api.clock.now = START + DAY
    assert await listed("churned=true&sort=-changed_at") == ["leaving", "gone"]


async def test_no_forecast_is_of_one_that_has_left_or_will_have_by_then(clock: Clock, api: Api) -> None:
    for account_id in ("gone", "leaving", "staying", "left-since"):
        await active(clock, account_id, 10, stage=account_id)
    now = START + timedelta(hours=1)
    await clock.fold({"gone": [described("gone", now, churned_on="2020-01-31")]}, now)
    soon = (START + 5 * DAY).date().isoformat()
    await clock.fold({"leaving": [described("leaving", now, churned_on=soon)]}, now)
    await forecast_once(clock.engine, clock.policies, clock.settings, now)
    later = now + timedelta(minutes=1)
    await clock.fold({"left-since": [described("left-since", later, churned_on=later.date().isoformat())]}, later)
    api.clock.now = later
    listed = await api.all_items("/v1/forecasts?days=40")
    assert [each["account_id"] for each in listed] == ["staying"]
    assert await api.all_items("/v1/forecasts?days=40&exclude_stages=staying") == []
    assert (await api.get("/v1/accounts/gone/health/forecast")).json["crossings"] == []


async def test_they_are_counted_apart_from_the_day_on_which_they_leave(clock: Clock, engine: AsyncEngine) -> None:
    """The database's clock decides, in metrics and in the portfolio that dashboards show."""
    today = datetime.now(UTC).date()
    await active(clock, "acme", 1, segment="smb")
    await active(clock, "left", 2, segment="smb", churned_on=today.isoformat())
    await active(clock, "leaves", 3, segment="smb", churned_on=(today + DAY).isoformat())
    await count_once(engine)
    assert value("health_accounts", band="red", segment="smb", stage="none") == 2
    assert value("health_accounts_by_score", points="10-19") == 1
    assert value("health_accounts_by_score", points="00-09") == 1
    assert value("health_churned_accounts") == 1
    then = (START.date() - DAY, START.date(), START.date() + DAY)
    await query(engine, "DELETE FROM history RETURNING 1")
    await query(engine, "UPDATE scores SET since = :first, day = :last RETURNING 1", first=then[0], last=then[2])
    counted = "SELECT day, sum(accounts) AS accounts FROM analytics.portfolio(:first, :last) GROUP BY day ORDER BY day"
    for left, expected in ((then[0] + 2 * DAY, [3, 3, 2]), (then[1], [3, 2, 2]), (then[0], [2, 2, 2])):
        await query(engine, "UPDATE accounts SET churned_on = :left WHERE account_id = 'left' RETURNING 1", left=left)
        rows = await query(engine, counted, first=then[0], last=then[2])
        assert [(row.day, row.accounts) for row in rows] == list(zip(then, expected, strict=True))

"""Forecasts come true, and the list of crossings in silence is true when it is read."""

import asyncio
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY
from sqlalchemy.ext.asyncio import AsyncEngine

from consumers.sweep import forecaster
from consumers.sweep.forecaster import IDLE_SECONDS, SHORTEST_CYCLE, forecast_once
from scoring.state.calendar import day_of, to_micros
from scoring.state.events import AttributesEvent, Event
from service.evaluation.policy import PolicyCache
from service.observability.probes import Pulse
from service.runtime.settings import Settings
from service.storage.accounts import accounts
from service.storage.database.clock_check import OneClock
from tests.support.api import Api
from tests.support.service import eventually, query
from tests.support.sweeping import START, Clock, by_active_days, used

pytestmark = pytest.mark.anyio

DAY = timedelta(days=1)
LIST = "/v1/forecasts?days=40"
FORECAST = "/v1/accounts/acme/health/forecast"


class Foresight(Clock):
    """The service on the test's clock, with a forecaster and an API."""

    def __init__(self, engine: AsyncEngine, settings: Settings, api: Api) -> None:
        super().__init__(engine, settings)
        self.api = api
        self.settings = settings.model_copy(update={"forecast_share": 1.0})

    async def cycle(self, now: datetime) -> int:
        """Forecast all accounts once, after the last cycle has rested; returns how many transactions that took."""
        self.api.clock.now = now
        self.policies.forget()
        batches, pause = 0, 0.0
        while pause < SHORTEST_CYCLE / 2:
            await query(self.engine, "UPDATE forecast_cycle SET due_at = '-infinity' RETURNING id")
            pause = await forecast_once(self.engine, self.policies, self.settings, now)
            batches += 1
        return batches

    async def listed(self, path: str = LIST) -> list[tuple[str, str, str]]:
        """The accounts in the list, by rule and day."""
        return [(item["account_id"], item["rule"], item["day"]) for item in await self.api.all_items(path)]


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small batches, so that a few accounts take several."""
    monkeypatch.setattr(forecaster, "BATCH", 7)


@pytest.fixture
async def foresight(engine: AsyncEngine, database_settings: Settings, api: Api) -> Foresight:
    """A scorecard by days of use, and a rule that fires below 40."""
    foresight = Foresight(engine, database_settings, api)
    await foresight.publish(by_active_days(20), START)
    await foresight.reevaluate(START)
    await foresight.add_rule("At risk", "score", direction="below", level=40.0)
    api.clock.now = START
    api.app.state.context.policies.forget()
    return foresight


async def lives(foresight: Foresight, **days: int) -> None:
    """Accounts that were used every day for a number of days up to now."""
    events = {name: [used(name, START - day * DAY) for day in range(count)] for name, count in days.items()}
    await foresight.fold(events, START)


async def attributes(foresight: Foresight, account_id: str, **values: Any) -> None:
    at = to_micros(START)
    event: Event = AttributesEvent(account_id, at, day_of(at), account_id, values)
    await foresight.fold({account_id: [event]}, START)


def day(later: int) -> str:
    return (START.date() + later * DAY).isoformat()


async def stored(engine: AsyncEngine) -> list[Any]:
    rows = await query(engine, "SELECT account_id, day, score FROM forecast_crossings ORDER BY day, account_id")
    return [(row.account_id, row.day.isoformat(), row.score) for row in rows]


# --- one account ------------------------------------------------------------------------------------------------


async def test_what_is_forecast_of_an_account_comes_true(foresight: Foresight, engine: AsyncEngine, api: Api) -> None:
    await foresight.add_rule("Falling", "drop", points=15.0, days=3)
    await foresight.add_rule("Long quiet", "silence", level=4.0)
    await foresight.add_rule("Doing well", "score", direction="above", level=70.0, clear_level=60.0)
    await lives(foresight, acme=15)
    forecast = (await api.get(FORECAST)).json
    assert (forecast["account_id"], forecast["day"], len(forecast["items"])) == ("acme", day(0), 90)
    seen: list[dict[str, Any]] = []
    for item in forecast["items"][:40]:
        now = datetime.fromisoformat(item["day"]).replace(tzinfo=START.tzinfo)
        await foresight.sweep(now)
        (row,) = await query(engine, "SELECT * FROM scores")
        assert item == {
            "day": row.day.isoformat(),
            "score": row.score,
            "band": row.band,
            "coverage": row.coverage,
            "scorecard": {"name": row.scorecard, "version": row.scorecard_version},
        }
        alerts = await query(engine, "SELECT * FROM alerts ORDER BY sequence OFFSET :known", known=1 + len(seen))
        seen += [{"rule": each.rule, "state": each.state, "day": item["day"], "score": row.score} for each in alerts]
    told = [{name: each[name] for name in ("rule", "state", "day", "score")} for each in forecast["crossings"]]
    assert told == seen[: len(told)]
    assert {(each["rule"], each["kind"], each["state"]) for each in forecast["crossings"]} == {
        ("At risk", "score", "firing"),
        ("Falling", "drop", "firing"),
        ("Long quiet", "silence", "firing"),
        ("Doing well", "score", "resolved"),
    }


async def test_a_forecast_is_of_now_even_if_nobody_has_looked_for_days(foresight: Foresight, api: Api) -> None:
    await lives(foresight, acme=15)
    early = (await api.get(FORECAST)).json
    api.clock.now += 5 * DAY
    late = (await api.get(f"{FORECAST}?days=85")).json
    assert late["day"] == day(5)
    assert late["items"] == early["items"][5:]
    assert late["crossings"] == early["crossings"]


async def test_an_override_counts_for_rules_until_it_expires(foresight: Foresight, api: Api) -> None:
    await lives(foresight, acme=15)
    (before,) = (await api.get(FORECAST)).json["crossings"]
    until = START + 30 * DAY
    override = {"score": 90, "reason": "They said so.", "author": "ann", "expires_at": until.isoformat()}
    assert (await api.put("/v1/accounts/acme/health/override", override)).status == 200
    forecast = (await api.get(FORECAST)).json
    assert [(each["day"], each["score"]) for each in forecast["crossings"]] == [(day(30), 0)]
    assert before["day"] < day(30)


async def test_a_rule_on_drops_that_was_just_made_knows_the_days_before(
    foresight: Foresight, engine: AsyncEngine, api: Api
) -> None:
    await lives(foresight, acme=30)
    for later in range(1, 19):
        await foresight.sweep(START + later * DAY)
    await foresight.add_rule("Falling", "drop", points=50.0, days=20)
    api.app.state.context.policies.forget()
    api.clock.now = START + 18 * DAY
    forecast = (await api.get(FORECAST)).json
    (foretold,) = [each for each in forecast["crossings"] if each["rule"] == "Falling"]
    await foresight.sweep(datetime.fromisoformat(foretold["day"]).replace(tzinfo=START.tzinfo) - DAY / 2)
    assert not await query(engine, "SELECT 1 FROM alerts WHERE rule = 'Falling'")
    await foresight.sweep(datetime.fromisoformat(foretold["day"]).replace(tzinfo=START.tzinfo))
    assert len(await query(engine, "SELECT 1 FROM alerts WHERE rule = 'Falling'")) == 1


async def test_how_far_ahead_it_may_look(foresight: Foresight, api: Api) -> None:
    await lives(foresight, acme=15)
    for days in (1, 365):
        assert len((await api.get(f"{FORECAST}?days={days}")).items) == days
    for given in ("0", "366", "-1", "soon"):
        answer = await api.get(f"{FORECAST}?days={given}")
        assert (answer.status, answer.fields) == (422, ["days"])


async def test_an_unknown_account_has_no_forecast(foresight: Foresight, api: Api) -> None:
    assert (await api.get(FORECAST)).status == 404


# --- the list ---------------------------------------------------------------------------------------------------


async def test_the_list_has_each_account_with_the_day_on_which_it_fires(
    foresight: Foresight, engine: AsyncEngine, api: Api
) -> None:
    await lives(foresight, **{f"account-{number:02}": 8 + number for number in range(20)}, lost=2)
    await attributes(foresight, "account-05", name="Five", segment="smb", stage="live", owner="ann")
    assert await foresight.cycle(START) == 4
    listed = await foresight.listed()
    assert listed == sorted(listed, key=lambda item: (item[2], item[0]))
    assert {name for name, *_ in listed} == {f"account-{number:02}" for number in range(20)}
    for name, rule, when in listed:
        (crossing,) = (await api.get(f"/v1/accounts/{name}/health/forecast")).json["crossings"]
        assert (crossing["rule"], crossing["day"]) == (rule, when)
    page = (await api.get(f"{LIST}&segment=smb")).json
    assert datetime.fromisoformat(page["as_of"]) == START
    (item,) = page["items"]
    assert item.pop("rule_id")
    assert item == {
        "account_id": "account-05",
        "name": "Five",
        "segment": "smb",
        "stage": "live",
        "owner": "ann",
        "score": 65,
        "band": "yellow",
        "rule": "At risk",
        "day": next(when for name, _, when in listed if name == "account-05"),
        "score_then": 35,
    }


async def test_pages_filters_and_horizon(foresight: Foresight, api: Api) -> None:
    await foresight.add_rule("Very low", "score", direction="below", level=20.0)
    await lives(foresight, **{f"account-{number}": 10 + number for number in range(9)})
    await attributes(foresight, "account-3", stage="live", owner="bob")
    await foresight.cycle(START)
    whole = await foresight.listed()
    assert len(whole) == 18
    assert await foresight.listed(f"{LIST}&page_size=1") == await foresight.listed(f"{LIST}&page_size=4") == whole
    low = [item for item in whole if item[1] == "Very low"]
    assert await foresight.listed(f"{LIST}&rule=Very%20low") == low
    rules = {rule["name"]: rule["id"] for rule in (await api.get("/v1/alert-rules")).items}
    assert await foresight.listed(f"{LIST}&rule={rules['Very low']}") == low
    assert await foresight.listed(f"{LIST}&rule=unheard-of") == []
    assert {name for name, *_ in await foresight.listed(f"{LIST}&owner=bob&stage=live")} == {"account-3"}
    assert await foresight.listed(f"{LIST}&owner=bob&segment=smb") == []
    green = {item["account_id"] for item in await api.all_items("/v1/accounts?band=green")}
    assert {name for name, *_ in await foresight.listed(f"{LIST}&band=green")} == green
    assert green
    horizon = int((date.fromisoformat(whole[5][2]) - START.date()).days)
    assert await foresight.listed(f"/v1/forecasts?days={horizon}") == [
        item for item in whole if item[2] <= day(horizon)
    ]
    for bad, field in {"days=0": "days", "days=366": "days", "days=91": "days", "page_token=x": "page_token"}.items():
        answer = await api.get(f"/v1/forecasts?{bad}")
        assert (answer.status, answer.fields) == (422, [field]), bad


async def test_an_account_that_was_used_meanwhile_is_no_longer_listed(foresight: Foresight, api: Api) -> None:
    await lives(foresight, acme=15, globex=15)
    await foresight.cycle(START)
    before = await foresight.listed()
    assert [name for name, *_ in before] == ["acme", "globex"]
    fortnight = "/v1/forecasts?days=23"
    assert len(await foresight.listed(fortnight)) == 2
    back = START + 3 * DAY
    for account in range(4):
        await foresight.fold({"acme": [used("acme", back + account * DAY)]}, back + account * DAY)
    api.clock.now = back + 3 * DAY
    assert [name for name, *_ in await foresight.listed("/v1/forecasts?days=17")] == ["globex"]
    # Within a longer time it will cross after all: on another day, which is the one that is shown.
    (crossing,) = (await api.get(FORECAST)).json["crossings"]
    assert crossing["day"] > before[0][2]
    assert await foresight.listed() == [before[1], ("acme", "At risk", crossing["day"])]


async def test_what_fires_by_now_and_days_gone_by_are_left_out(foresight: Foresight, api: Api) -> None:
    await lives(foresight, acme=15)
    await foresight.cycle(START)
    ((_, _, when),) = await foresight.listed()
    crosses = datetime.fromisoformat(when).replace(tzinfo=START.tzinfo)
    api.clock.now = crosses - timedelta(microseconds=1)
    assert len(await foresight.listed()) == 1
    for later in (crosses, crosses + DAY):
        api.clock.now = later
        assert await foresight.listed() == []
    await foresight.sweep(crosses)
    await foresight.cycle(crosses)
    assert await stored(foresight.engine) == []


async def test_a_rule_that_is_deleted_disappears_from_the_list(
    foresight: Foresight, engine: AsyncEngine, api: Api
) -> None:
    await lives(foresight, acme=15)
    await foresight.cycle(START)
    assert len(await foresight.listed()) == 1
    (rule,) = (await api.get("/v1/alert-rules")).items
    assert (await api.delete(f"/v1/alert-rules/{rule['id']}")).status == 204
    assert await foresight.listed() == []
    assert await foresight.cycle(START) == 1
    assert await stored(engine) == []


async def test_an_erased_account_leaves_no_forecast(foresight: Foresight, engine: AsyncEngine, api: Api) -> None:
    await lives(foresight, acme=15, globex=15)
    await foresight.cycle(START)
    assert (await api.delete("/v1/accounts/acme")).status == 204
    assert [name for name, *_ in await stored(engine)] == ["globex"]
    assert [name for name, *_ in await foresight.listed()] == ["globex"]


async def test_an_account_that_is_being_erased_is_not_forecast_after_all(
    foresight: Foresight, engine: AsyncEngine
) -> None:
    await lives(foresight, acme=15, globex=15)
    async with engine.begin() as erasing:
        assert await accounts.erase(erasing, "acme")
        # It neither waits for the erasing, nor writes what this wouldn't see.
        await asyncio.wait_for(foresight.cycle(START), 5)
    assert [name for name, *_ in await stored(engine)] == ["globex"]


async def test_a_page_of_what_isn_t_true_any_more_is_short_and_leads_on(foresight: Foresight, api: Api) -> None:
    await lives(foresight, **{f"account-{number:02}": 15 for number in range(12)})
    await foresight.cycle(START)
    back = START + DAY
    await foresight.fold({f"account-{number:02}": [used(f"account-{number:02}", back)] for number in range(10)}, back)
    api.clock.now = back
    path = "/v1/forecasts?days=22&page_size=2"
    first = (await api.get(path)).json
    assert first["items"] == []
    assert first["next_page_token"]
    assert [name for name, *_ in await foresight.listed(path)] == ["account-10", "account-11"]


# --- the forecaster ---------------------------------------------------------------------------------------------


async def test_several_forecasters_do_no_work_twice(foresight: Foresight, engine: AsyncEngine) -> None:
    await lives(foresight, **{f"account-{number:03}": 15 for number in range(100)})
    before = REGISTRY.get_sample_value("health_forecast_accounts_total") or 0.0
    stop = asyncio.Event()
    pulses = [Pulse(f"forecast {number}", 60) for number in range(3)]
    running = [
        asyncio.create_task(forecaster.run(engine, foresight.settings, OneClock(), pulse, stop)) for pulse in pulses
    ]

    async def is_done() -> bool:
        return len(await query(engine, "SELECT 1 FROM forecast_cycle WHERE cursor = '' AND due_at > began_at")) == 1

    await eventually(is_done, "a cycle")
    await asyncio.sleep(2 * IDLE_SECONDS)
    stop.set()
    await asyncio.gather(*running)
    assert (REGISTRY.get_sample_value("health_forecast_accounts_total") or 0.0) - before == 100
    assert (REGISTRY.get_sample_value("health_forecast_cycle_seconds") or 0.0) > 0
    assert all(pulse.ready() is None for pulse in pulses)


async def test_one_that_is_started_again_goes_on_where_it_was(foresight: Foresight, engine: AsyncEngine) -> None:
    await lives(foresight, **{f"account-{number:02}": 15 for number in range(10)})
    await forecast_once(engine, foresight.policies, foresight.settings, START)
    assert len(await stored(engine)) == 7
    again = PolicyCache(92, lambda: 0.0)
    assert await forecast_once(engine, again, foresight.settings, START) == IDLE_SECONDS
    await forecast_once(engine, again, foresight.settings, START + timedelta(minutes=1))
    made = await query(engine, "SELECT made_at, count(*) AS rows FROM forecast_crossings GROUP BY 1 ORDER BY 1")
    assert [row.rows for row in made] == [7, 3]


async def test_it_keeps_to_its_share_of_the_time(foresight: Foresight, engine: AsyncEngine) -> None:
    await lives(foresight, **{f"account-{number:02}": 15 for number in range(10)})
    quarter = foresight.settings.model_copy(update={"forecast_share": 0.25})
    loop = asyncio.get_running_loop()
    began = loop.time()
    pause = await forecast_once(engine, foresight.policies, quarter, START)
    worked = loop.time() - began
    assert worked * 2 < pause < worked * 3
    (row,) = await query(engine, "SELECT due_at - began_at AS rest FROM forecast_cycle")
    assert row.rest.total_seconds() == pytest.approx(pause * 4 / 3, rel=0.01)


async def test_without_rules_nothing_is_forecast(foresight: Foresight, engine: AsyncEngine) -> None:
    await lives(foresight, acme=15)
    await foresight.cycle(START)
    await query(engine, "UPDATE alert_rules SET enabled = false, updated_at = now() RETURNING id")
    before = REGISTRY.get_sample_value("health_forecast_accounts_total")
    assert await foresight.cycle(START) == 1
    assert await stored(engine) == []
    assert REGISTRY.get_sample_value("health_forecast_accounts_total") == before

"""Processes whose clock differs from the database's: they write nothing that depends on the day, and read by the
database's.
"""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import aiohttp
import pytest
from prometheus_client import REGISTRY
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from consumers.fold import runner
from consumers.sweep import runner as sweep_runner
from consumers.sweep.forecaster import forecast_once
from service.api import server
from service.api.server import serve
from service.delivery import worker
from service.runtime.errors import HealthError
from service.runtime.settings import Settings
from service.storage.database import clock_check
from service.storage.database.clock_check import OneClock, agreed_now
from tests.support.api import Api, make_key
from tests.support.cloud_events import produce, record, usage
from tests.support.service import consuming, eventually, folded_up_to, query
from tests.support.sweeping import Clock, by_active_days, used

pytestmark = pytest.mark.anyio

DAY = timedelta(days=1)
LOOK_SECONDS = 1.5


class Machine:
    """A machine whose clock can be set."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def local(self) -> float:
        return time.time() + self.ahead

    def clock(self) -> OneClock:
        return OneClock(self.local)


@pytest.fixture
def machine() -> Machine:
    return Machine()


async def day_of(engine: AsyncEngine) -> str:
    return str((await query(engine, "SELECT day FROM scores"))[0].day)


async def used_yesterday(engine: AsyncEngine, settings: Settings) -> datetime:
    """An account that was evaluated yesterday, at the returned moment."""
    yesterday = datetime.now(UTC) - DAY
    await Clock(engine, settings).fold({"acme": [used("acme", yesterday)]}, yesterday)
    return yesterday


async def test_a_sweeper_a_day_ahead_moves_no_score_until_its_clock_is_right(
    database_settings: Settings, engine: AsyncEngine, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep_runner, "OneClock", machine.clock)
    yesterday = await used_yesterday(engine, database_settings)
    machine.ahead = DAY.total_seconds()
    stop = asyncio.Event()
    running = asyncio.create_task(sweep_runner.run(database_settings, stop))
    try:
        await asyncio.sleep(LOOK_SECONDS)
        assert await day_of(engine) == str(yesterday.date())
        ahead = REGISTRY.get_sample_value("health_clock_ahead_seconds") or 0.0
        assert abs(ahead - DAY.total_seconds()) < 60
        machine.ahead = 0.0

        async def judged() -> bool:
            return await day_of(engine) == str(datetime.now(UTC).date())

        await eventually(judged, "it goes on")
    finally:
        stop.set()
        await running


async def test_a_consumer_an_hour_behind_folds_nothing_until_its_clock_is_right(
    settings: Settings, engine: AsyncEngine, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "OneClock", machine.clock)
    machine.ahead = -3_600.0
    async with consuming(settings):
        await produce(settings.kafka_bootstrap_servers, [record(settings.topic_usage, usage("acme"))])
        await asyncio.sleep(2 * LOOK_SECONDS)
        assert not await query(engine, "SELECT 1 FROM scores")
        assert not await query(engine, "SELECT 1 FROM dead_letters"), "by its clock the record is an hour ahead"
        machine.ahead = 0.0
        await folded_up_to(engine, 1)
    assert len(await query(engine, "SELECT 1 FROM scores")) == 1


async def test_an_api_a_day_ahead_answers_for_today_and_writes_no_day(
    database_settings: Settings,
    engine: AsyncEngine,
    machine: Machine,
    monkeypatch: pytest.MonkeyPatch,
    free_tcp_port: int,
) -> None:
    monkeypatch.setattr(server, "OneClock", machine.clock)
    now = datetime.now(UTC)
    await Clock(engine, database_settings).fold({"acme": [used("acme", now)]}, now)
    machine.ahead = DAY.total_seconds()
    settings = database_settings.model_copy(update={"http_port": free_tcp_port})
    headers = {"Authorization": f"Bearer {await make_key(engine, 'admin')}"}
    stop = asyncio.Event()
    running = asyncio.create_task(serve(settings, stop))
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{free_tcp_port}", headers=headers) as session:
            await eventually(partial(_answers, session), "it listens")
            async with session.get("/v1/accounts/acme/health") as answer:
                assert (answer.status, (await answer.json())["day"]) == (200, str(now.date()))
            override = {"band": "red", "reason": "Their champion has left.", "author": "ann"}
            for method, path, body in (
                ("PUT", "/v1/accounts/acme/health/override", override),
                ("DELETE", "/v1/accounts/acme/health/override", None),
                ("PUT", "/v1/accounts/acme", {"name": "Acme"}),
            ):
                async with session.request(method, path, json=body) as answer:
                    problem = await answer.json()
                    assert answer.status == 503, path
                    assert "the clock is 86,400 s ahead of the database's. Have NTP set" in problem["detail"]
            machine.ahead = 0.0
            async with session.put("/v1/accounts/acme/health/override", json=override) as answer:
                assert answer.status == 200
    finally:
        stop.set()
        await running


async def _answers(session: aiohttp.ClientSession) -> bool:
    try:
        async with session.get("/livez") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


async def test_a_score_that_was_evaluated_for_tomorrow_is_read_as_of_today(
    database_settings: Settings, engine: AsyncEngine, api: Api
) -> None:
    clock = Clock(engine, database_settings)
    now = datetime.now(UTC).replace(hour=12)
    await clock.fold({"acme": [used("acme", now - number * DAY) for number in range(12)]}, now)
    api.clock.now = now
    before = (await api.get("/v1/accounts/acme/health")).json
    assert await clock.sweep(now + DAY) == 1
    assert await day_of(engine) == str((now + DAY).date())
    after = (await api.get("/v1/accounts/acme/health")).json
    assert after["day"] == str(now.date())
    assert after["measures"] == before["measures"]
    assert after["score"] == before["score"]
    assert after["trend"] == before["trend"]


@pytest.fixture
async def ahead(database_settings: Settings, engine: AsyncEngine, api: Api) -> datetime:
    """Two accounts that a sweeper two days ahead has evaluated, one of them used since; returns the true time."""
    clock = Clock(engine, database_settings)
    await clock.publish(by_active_days(20), datetime.now(UTC) - 30 * DAY)
    await clock.reevaluate(datetime.now(UTC) - 30 * DAY)
    await clock.add_rule("At risk", "score", direction="below", level=40.0)
    now = datetime.now(UTC).replace(hour=12)
    for back in (3, 0):
        at = now - back * DAY
        used_before = [used("acme", at - number * DAY) for number in range(12)]
        await clock.fold({"acme": used_before, "idle": [used("idle", at - 25 * DAY), used("idle", at - 28 * DAY)]}, at)
    api.clock.now = now
    return now


WRONG = 2 * DAY
READS = (
    "/v1/accounts/acme",
    "/v1/accounts/idle",
    "/v1/accounts?sort=-score",
    "/v1/accounts/acme/health/history",
    "/v1/accounts/idle/health/history",
    "/v1/accounts/acme/health/explain",
    "/v1/accounts/acme/health/forecast?days=30",
    "/v1/accounts/idle/health/forecast?days=30",
    "/v1/accounts/acme/health",
    "/v1/forecasts?days=60",
)


def as_read(body: Any) -> Any:
    """An answer without what tells when it was worked out."""
    if isinstance(body, dict):
        return {
            name: as_read(value)
            for name, value in body.items()
            if name not in ("evaluated_at", "changed_at", "at", "as_of")
        }
    return [as_read(each) for each in body] if isinstance(body, list) else body


async def test_every_read_is_of_today_where_scores_were_evaluated_for_a_day_to_come(
    database_settings: Settings, engine: AsyncEngine, api: Api, ahead: datetime
) -> None:
    clock = Clock(engine, database_settings.model_copy(update={"forecast_share": 1.0}))
    await forecast_once(engine, clock.policies, clock.settings, ahead)
    before = {path: as_read((await api.get(path)).json) for path in READS}
    assert [each["account_id"] for each in before["/v1/forecasts?days=60"]["items"]] == ["acme"]
    assert before["/v1/accounts/acme"]["day"] == str(ahead.date())
    assert await clock.sweep(ahead + WRONG) == 2
    assert {row.day for row in await query(engine, "SELECT day FROM scores")} == {(ahead + WRONG).date()}
    await forecast_once(engine, clock.policies, clock.settings, ahead)
    for path in READS:
        assert as_read((await api.get(path)).json) == before[path], path


async def test_what_comes_after_such_a_judgement_is_read_at_once(
    database_settings: Settings, engine: AsyncEngine, api: Api, ahead: datetime
) -> None:
    """And lists leave out what doesn't match any more."""
    clock = Clock(engine, database_settings)
    await clock.sweep(ahead + WRONG)
    red = "/v1/accounts?band=red&max_score=39"
    assert [each["account_id"] for each in (await api.get(red)).json["items"]] == ["idle"]
    more = [used("idle", ahead - number * DAY) for number in range(12)]
    await clock.fold({"idle": more}, ahead + timedelta(minutes=1))
    api.clock.now = ahead + timedelta(minutes=1)
    health = (await api.get("/v1/accounts/idle/health")).json
    assert health["score"] > 60
    history = (await api.get("/v1/accounts/idle/health/history")).json["items"]
    account = (await api.get("/v1/accounts/idle")).json
    for told in (history[-1], account):
        assert (told["day"], told["score"], told["band"]) == (health["day"], health["score"], health["band"])
    forecast = (await api.get("/v1/accounts/idle/health/forecast?days=3")).json
    assert [forecast["day"], forecast["items"][0]["day"]] == [str(ahead.date()), str((ahead + DAY).date())]
    why = (await api.get("/v1/accounts/idle/health/explain")).json
    assert why["to"]["score"] == health["score"]
    for table in ("scores", "listed_accounts"):
        await query(engine, f"UPDATE {table} SET band = 'red', score = 10 WHERE account_id = 'idle' RETURNING 1")
    assert (await api.get(red)).json["items"] == []


async def test_readyz_of_the_api_reports_a_clock_that_is_off(
    database_settings: Settings,
    engine: AsyncEngine,
    machine: Machine,
    monkeypatch: pytest.MonkeyPatch,
    free_tcp_port: int,
) -> None:
    """The process continues reading, and its probe stays 200."""
    monkeypatch.setattr(server, "OneClock", machine.clock)
    stop = asyncio.Event()
    running = asyncio.create_task(serve(database_settings.model_copy(update={"http_port": free_tcp_port}), stop))
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{free_tcp_port}") as session:
            await eventually(partial(_answers, session), "it listens")
            for off, said in (
                (0.0, None),
                (-90.0, "the clock is 90 s behind the database's"),
                (DAY.total_seconds(), "the clock is 86,400 s ahead of the database's"),
                (59.0, None),
            ):
                machine.ahead = off
                async with session.get("/readyz") as answer:
                    body = await answer.json()
                    assert (answer.status, body["status"], body.get("clock")) == (200, "ready", said)
            machine.ahead = -90.0

            async def measured() -> bool:
                return abs((REGISTRY.get_sample_value("health_clock_ahead_seconds") or 0.0) + 90) < 5

            await eventually(measured, "the metric says so")
    finally:
        stop.set()
        await running


async def test_a_command_that_writes_by_the_time_says_that_it_is_wrong(
    engine: AsyncEngine, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock_check, "OneClock", machine.clock)
    async with engine.connect() as connection:
        assert abs(await agreed_now(connection) - datetime.now(UTC)) < timedelta(seconds=60)
        machine.ahead = -DAY.total_seconds()
        with pytest.raises(HealthError, match="The clock is 86,400 s behind the database's"):
            await agreed_now(connection)


async def test_a_delivery_that_is_ahead_says_so_and_goes_on(
    database_settings: Settings, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "OneClock", machine.clock)
    machine.ahead = DAY.total_seconds()
    stop = asyncio.Event()
    with capture_logs() as logs:
        running = asyncio.create_task(worker.serve(database_settings, stop))

        async def said() -> bool:
            return any(each["event"] == "clock_wrong" and each["ahead_seconds"] > 86_000 for each in logs)

        await eventually(said, "that the clock is wrong")
        assert not running.done()
        stop.set()
        await running

"""Processes whose clock isn't the database's: nothing is written of a day, and reads go by the database's."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from functools import partial

import aiohttp
import pytest
from prometheus_client import REGISTRY
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from consumers import runner, sweep
from service import clocks
from service.api import server
from service.api.server import serve
from service.clocks import OneClock, agreed_now
from service.delivery import worker
from service.errors import HealthError
from service.settings import Settings
from tests.support.api import Api, make_key
from tests.support.cloud_events import produce, record, usage
from tests.support.service import consuming, eventually, folded_up_to, query
from tests.support.sweeping import Clock, used

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
    """An account that was judged yesterday, at the returned moment."""
    yesterday = datetime.now(UTC) - DAY
    await Clock(engine, settings).fold({"acme": [used("acme", yesterday)]}, yesterday)
    return yesterday


async def test_a_sweeper_a_day_ahead_moves_no_score_until_its_clock_is_right(
    database_settings: Settings, engine: AsyncEngine, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "OneClock", machine.clock)
    yesterday = await used_yesterday(engine, database_settings)
    machine.ahead = DAY.total_seconds()
    stop = asyncio.Event()
    running = asyncio.create_task(sweep.run(database_settings, stop))
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


async def test_a_score_that_was_judged_at_tomorrow_is_read_as_of_today(
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


async def test_a_command_that_writes_by_the_time_says_that_it_is_wrong(
    engine: AsyncEngine, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clocks, "OneClock", machine.clock)
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

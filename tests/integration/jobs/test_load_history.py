"""`account-health load --history`: the past of loaded accounts is that of a twin that was fed the same events live."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from scoring.scorecards.document import ScorecardDocument
from service.evaluation.policy import publish_default
from service.runtime.settings import Settings
from service.storage.database.engine import create_engine
from tests.support.api import Api, make_key, running
from tests.support.cloud_events import produce, record, usage
from tests.support.event_logs import write_log
from tests.support.loading import DAYS, Loader, log_up_to
from tests.support.postgres import PostgresServer
from tests.support.service import consuming, eventually, query, settings_for
from tests.support.sweeping import Clock
from tests.support.twin import live_through, lived_days, stored_days

pytestmark = pytest.mark.anyio
ACCOUNTS = [f"acme-{number}" for number in range(8)]
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
MEASURES: list[dict[str, Any]] = [
    {"measure": "active_days", "window": 30, "weight": 2, "curve": [[0, 0], [9, 100]]},
    {"measure": "silence_ratio", "weight": 1, "curve": [[1, 100], [6, 0]], "missing": "neutral"},
    {"measure": "usage_trend", "window": 14, "weight": 1, "curve": [[0, 0], [1, 100]], "missing": {"score": 40}},
    {"measure": "nps", "window": 60, "weight": 1, "curve": [[-100, 0], [100, 100]], "missing": "neutral"},
    {"measure": "oldest_open_ticket_days", "weight": 1, "curve": [[0, 100], [40, 0]]},
    {"measure": "seat_utilization", "window": 30, "weight": 1, "curve": [[0, 0], [100, 100]], "missing": "worst"},
]


@pytest.fixture
def today() -> date:
    """The day on which the log is loaded."""
    return datetime.now(UTC).date()


@pytest.fixture
async def clock(engine: AsyncEngine, settings: Settings) -> Clock:
    """The service that loads, with a scorecard for all accounts and another for those of a segment."""
    clock = Clock(engine, settings)
    await publish_some(clock)
    return clock


@pytest.fixture
async def twin(postgres_server: PostgresServer) -> AsyncIterator[Clock]:
    """Another service with the same scorecards, which lives on a clock of its own."""
    url = await asyncio.to_thread(postgres_server.create_migrated)
    settings = settings_for(url, "127.0.0.1:1", "")
    engine = create_engine(settings, "test")
    async with engine.begin() as connection:
        await publish_default(connection, settings.retention_days)
    clock = Clock(engine, settings)
    await publish_some(clock)
    yield clock
    await engine.dispose()
    await asyncio.to_thread(postgres_server.drop, url)


async def publish_some(clock: Clock) -> None:
    bands = {"red": 0, "yellow": 40, "green": 70}
    for document in (
        {"name": "default", "measures": MEASURES, "bands": bands},
        {"name": "large", "measures": MEASURES[:3], "bands": bands, "applies_to": {"segments": ["large"]}},
    ):
        await clock.publish(msgspec.convert(document, ScorecardDocument), LONG_AGO)
    await clock.reevaluate(LONG_AGO)


@pytest.fixture
def loader(settings: Settings, tmp_path: Path) -> Loader:
    return Loader(settings, tmp_path)


async def test_the_past_is_that_of_a_twin_that_was_fed_the_same_events_live(
    loader: Loader, clock: Clock, twin: Clock, today: date, tmp_path: Path
) -> None:
    """Equal are all rows of history before the day of the load, to the last byte of the journals.

    What differs by nature: a load ends the run of days that is current when live history begins, so the twin is looked
    at when its last day before that has ended. Within a day, the twin folds what the day brought when the last of it
    happened; events that are folded one by one give the same scores at the day's end.
    """
    events = log_up_to(today, ACCOUNTS)
    async with consuming(loader.settings):
        told = await loader.load(write_log(tmp_path / "log.ndjson", events))
    assert f"the past of {len(ACCOUNTS)} accounts from " in told
    await live_through(twin, events, today - timedelta(days=1))
    found = await stored_days(clock, today)
    assert found == await lived_days(twin)
    assert len({row[3] for row in found}) > 20
    assert {row[6] for row in found} == {"default", "large"}
    await _answers_are_equal(clock, twin, today)


async def _answers_are_equal(clock: Clock, twin: Clock, today: date) -> None:
    """History, past days and explanations, as the API answers them of days before the load."""
    yesterday = today - timedelta(days=1)
    paths = [f"history?from={today - timedelta(days=DAYS)}&to={yesterday}"]
    paths += [f"explain?from={yesterday - timedelta(days=back)}&to={yesterday}" for back in (1, 9, 25)]
    async with _api(clock) as loaded, _api(twin) as lived:
        for account in ACCOUNTS:
            for path in paths:
                asked = f"/v1/accounts/{account}/health/{path}"
                assert (await loaded.get(asked)).json == (await lived.get(asked)).json, asked
            for back in (1, 2, 17, 30):
                asked = f"/v1/accounts/{account}/health?day={today - timedelta(days=back)}"
                answers = [_scored((await api.get(asked)).json) for api in (loaded, lived)]
                assert answers[0] == answers[1], asked


def _scored(health: Any) -> Any:
    """An answer without raw values: they are of the last day of a run, and the twin's last run goes on."""
    measures = [(each["name"], each["score"], each["contribution"]) for each in health["measures"]]
    return {**health, "measures": measures, "values_of": None}


@asynccontextmanager
async def _api(clock: Clock) -> AsyncIterator[Api]:
    """The API over a service's database."""
    settings = settings_for(clock.settings.database_url.get_secret_value(), "127.0.0.1:1", "")
    async with running(settings, await make_key(clock.engine, "read")) as api:
        yield api


async def test_events_one_by_one_give_the_same_scores_at_the_end_of_each_day(
    loader: Loader, clock: Clock, twin: Clock, today: date, tmp_path: Path
) -> None:
    events = log_up_to(today, ACCOUNTS[:3], seed=5)
    async with consuming(loader.settings):
        await loader.load(write_log(tmp_path / "log.ndjson", events))
    await live_through(twin, events, today - timedelta(days=1), one_by_one=True)
    daily = "SELECT account_id, day, score, band, coverage, scorecard FROM analytics.account_health_daily"
    before = "WHERE day < :today ORDER BY account_id, day"
    found, expected = [await query(each.engine, f"{daily} {before}", today=today) for each in (clock, twin)]
    assert found == expected
    assert len(found) > 100


async def test_signals_that_are_loaded_one_after_the_other_count_together(
    loader: Loader, clock: Clock, twin: Clock, today: date, tmp_path: Path
) -> None:
    """With --history the past is replayed from all events that the topics hold; without, it stays as it is."""
    events = log_up_to(today, ACCOUNTS)
    parts = [[each for each in events if (each["type"] == "usage.recorded") is used] for used in (True, False)]
    usage_file, rest_file = (write_log(tmp_path / f"{n}.ndjson", part) for n, part in enumerate(parts))
    async with consuming(loader.settings):
        await loader.load(usage_file)
        of_usage = await stored_days(clock, today)
        told = await loader.load(rest_file)
        assert f"the past of {len(ACCOUNTS)} accounts was replayed before" in told
        assert await stored_days(clock, today) == of_usage
        await loader.load("--history", rest_file)
        whole = await stored_days(clock, today)
        await loader.load("--history", usage_file)
        assert await stored_days(clock, today) == whole != of_usage
    await live_through(twin, events, today - timedelta(days=1))
    assert whole == await lived_days(twin)


async def test_the_last_of_several_loads_writes_the_past_of_all(
    loader: Loader, clock: Clock, twin: Clock, today: date, tmp_path: Path
) -> None:
    """Also of accounts that it doesn't name; but a past that is there already, and isn't of its accounts, stays."""
    events = log_up_to(today, ACCOUNTS)
    tickets = [each for each in events if each["type"] != "usage.recorded" and each["subject"] in ACCOUNTS[:3]]
    usages = [each for each in events if each["type"] == "usage.recorded"]
    early = [each for each in usages if each["subject"] == ACCOUNTS[3]]
    files = [write_log(tmp_path / f"{n}.ndjson", part) for n, part in enumerate((early, usages, tickets))]
    async with consuming(loader.settings):
        await loader.load(files[0])
        await query(clock.engine, "UPDATE history SET score = 1 WHERE account_id = :id RETURNING 1", id=ACCOUNTS[3])
        await loader.load("--no-history", files[1])
        told = await loader.load("--history", files[2])
    assert f"the past of {len(ACCOUNTS) - 1} accounts from" in told
    await live_through(twin, [*usages, *tickets], today - timedelta(days=1))
    found, expected = [
        [row for row in rows if row[0] != ACCOUNTS[3]]
        for rows in (await stored_days(clock, today), await lived_days(twin))
    ]
    assert found == expected
    assert {row[3] for row in await stored_days(clock, today) if row[0] == ACCOUNTS[3]} == {1}


async def test_a_kill_in_the_middle_and_live_events_meanwhile_change_nothing(
    loader: Loader, clock: Clock, twin: Clock, today: date, tmp_path: Path
) -> None:
    """Killed when the first rows are there, while live events of the same accounts are folded; then run again."""
    accounts = [f"acme-{number}" for number in range(150)]
    events = log_up_to(today, accounts)
    log = write_log(tmp_path / "log.ndjson", events)
    topic = loader.settings.topic_usage
    async with consuming(loader.settings), asyncio.TaskGroup() as tasks:
        live = tasks.create_task(_send_live_events(loader.settings, topic, accounts))
        with loader.loading(log) as process:
            await eventually(lambda: _has_rows(clock.engine), "the first rows", 90)
            process.kill()
        some = await stored_days(clock, today)
        told = await loader.load(log)
        live.cancel()
    assert "History: the past of" in told
    found = await stored_days(clock, today)
    assert len(some) < len(found)
    await live_through(twin, events, today - timedelta(days=1))
    assert found == await lived_days(twin)
    folded = await query(clock.engine, "SELECT count(*) FROM scores WHERE day = :today", today=today)
    assert folded[0][0] == len(accounts)


async def _has_rows(engine: AsyncEngine) -> bool:
    return bool(await query(engine, "SELECT 1 FROM history WHERE replayed LIMIT 1"))


async def _send_live_events(settings: Settings, topic: str, accounts: list[str]) -> None:
    while True:
        await produce(settings.kafka_bootstrap_servers, [record(topic, usage(account)) for account in accounts])
        await asyncio.sleep(0.2)


async def test_without_consumers_the_load_is_done_and_says_what_is_missing(
    loader: Loader, clock: Clock, today: date, tmp_path: Path
) -> None:
    log = write_log(tmp_path / "log.ndjson", log_up_to(today, ACCOUNTS[:2]))
    told = await loader.load(log)
    assert "events sent in" in told
    assert "The scores of the past days aren't written. Consumers don't fold the loaded events: no consumer" in told
    assert "run the same command again" in told
    with pytest.raises(subprocess.CalledProcessError) as failed:
        await loader.load("--history", log)
    assert failed.value.returncode == 1
    assert "Consumers don't fold the loaded events" in failed.value.stderr
    async with consuming(loader.settings):
        assert "the past of 2 accounts from" in await loader.load(log)
    assert "History" not in await loader.load("--no-history", "--again", log)


async def test_times_that_are_shifted_to_now_are_shifted_in_the_past_too(
    loader: Loader, clock: Clock, today: date, tmp_path: Path
) -> None:
    old = log_up_to(today - timedelta(days=300), ACCOUNTS[:2])
    async with consuming(loader.settings):
        await loader.load("--shift-to-now", write_log(tmp_path / "log.ndjson", old))
    rows = await query(clock.engine, "SELECT max(day) AS last, min(since) AS first FROM history WHERE replayed")
    assert rows[0].last == today - timedelta(days=1)
    assert today - timedelta(days=DAYS + 1) <= rows[0].first < today - timedelta(days=DAYS // 2)


async def test_where_the_past_cannot_be_written_the_load_says_so_and_is_done(
    loader: Loader, today: date, tmp_path: Path, engine: AsyncEngine
) -> None:
    """Without Postgres, with the schema of a version before, and where the log can't be kept beside its checkpoints."""
    log = write_log(tmp_path / "log.ndjson", log_up_to(today, ACCOUNTS[:2]))
    changes = {"database_url": SecretStr("postgresql://127.0.0.1:1/unused")}
    away = Loader(loader.settings.model_copy(update=changes), loader.folder)
    told = await away.load(log)
    assert "events sent in" in told
    assert "The scores of the past days aren't written. Postgres can't be used: " in told
    ((schema,),) = await query(engine, "SELECT version_num FROM alembic_version")
    change = "UPDATE alembic_version SET version_num = :schema RETURNING 1"
    await query(engine, change, schema="0019")
    assert "The database has schema 0019, an earlier one. Run: account-health migrate" in await loader.load(log)
    await query(engine, change, schema=schema)
    (loader.folder / "state" / "history").write_text("in the way")
    assert "The working folder" in await loader.load(log)
    with pytest.raises(subprocess.CalledProcessError) as failed:
        await away.load("--history", log)
    assert "Traceback" not in failed.value.stderr

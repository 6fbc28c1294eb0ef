"""/v1/backtests: a request is checked, run by a process of its own, and its report can be read."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy.ext.asyncio import AsyncEngine

from service.jobs.backtest.job import run_job
from service.jobs.backtest.job_runner import Body, run_backtests
from service.runtime.settings import Settings
from service.storage.policy import backtests
from service.storage.policy.backtests import MOST_KEPT, MOST_TRIES, MOST_WAITING, ClaimedBacktest
from tests.support.api import Api, make_key, running
from tests.support.cloud_events import produce, record, usage
from tests.support.known_log import DRAFT, known_log, known_outcomes
from tests.support.service import eventually, query

pytestmark = pytest.mark.anyio
PATH = "/v1/backtests"


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """The server's folder of logs, beside a file that isn't in it."""
    folder = tmp_path / "logs"
    folder.mkdir()
    known_log(folder / "log.ndjson")
    known_outcomes(folder / "outcomes.csv")
    (tmp_path / "secret.ndjson").write_text("{}")
    (folder / "link.ndjson").symlink_to(tmp_path / "secret.ndjson")
    return folder


@pytest.fixture
async def api(settings: Settings, engine: AsyncEngine, logs: Path) -> AsyncIterator[Api]:
    """The API with a folder of logs."""
    changed = settings.model_copy(update={"backtest_folder": str(logs)})
    async with running(changed, await make_key(engine, "admin")) as api:
        yield api


def settings_of(api: Api) -> Settings:
    found: Settings = api.app.state.context.settings
    return found


@asynccontextmanager
async def running_backtests(api: Api, engine: AsyncEngine, body: Body = run_job) -> AsyncIterator[None]:
    """The loop of the API's process."""
    task = asyncio.create_task(run_backtests(settings_of(api), engine, body))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def ended(api: Api, path: str) -> Any:
    """The back-test once it is done or has failed."""

    async def is_over() -> bool:
        return (await api.get(path)).json["finished_at"] is not None

    await eventually(is_over, "the end of the back-test", 60)
    return (await api.get(path)).json


WHOLE = {
    "log": {"path": "log.ndjson"},
    "outcomes": "outcomes.csv",
    "scorecards": [yaml.safe_load(DRAFT)],
    "rules": [{"name": "Quiet", "kind": "silence", "level": 3}],
}


async def test_a_back_test_of_a_file(api: Api, engine: AsyncEngine) -> None:
    asked = await api.post(PATH, WHOLE)
    assert asked.status == 202
    assert (asked.json["state"], asked.json["report"]) == ("queued", None)
    where = asked.headers["Location"]
    async with running_backtests(api, engine):
        found = await ended(api, where)
    assert (found["state"], found["problem"]) == ("done", None)
    assert (found["done"], found["total"]) == (264, 264)
    scores = {each["name"]: each for each in found["report"]["scores"]}
    assert [*scores] == ["in force", "draft 1, default", "plain count"]
    assert scores["draft 1, default"]["auc"] == [1, 1, 1]
    assert [rule["name"] for rule in found["report"]["rules"]] == ["Quiet"]
    assert found["report"]["left_out"][0] == {
        "reason": "it lies after the end of the log",
        "outcomes": 1,
        "accounts": [],
    }
    assert b"left-" not in (await api.get(where)).body
    (listed,) = (await api.get(PATH)).items
    assert (listed["id"], listed["state"]) == (found["id"], "done")
    assert "report" not in listed


async def test_a_back_test_of_the_topics_says_what_they_lack(api: Api, engine: AsyncEngine) -> None:
    settings = settings_of(api)
    await produce(settings.kafka_bootstrap_servers, [record(settings.topic_usage, usage("acme"))])
    where = (await api.post(PATH, {})).headers["Location"]
    async with running_backtests(api, engine):
        found = await ended(api, where)
    assert found["state"] == "failed"
    assert found["problem"].startswith("The log doesn't say what became of its accounts: no account of it has churned_")


@pytest.mark.parametrize(
    ("body", "field", "said"),
    [
        ({"log": {"path": "nowhere.ndjson"}}, "log.path", "isn't in the server's folder"),
        ({"log": {"path": "../secret.ndjson"}}, "log.path", "isn't in the server's folder"),
        ({"log": {"path": "link.ndjson"}}, "log.path", "isn't in the server's folder"),
        ({"log": {"path": "/etc/passwd"}}, "log.path", "isn't in the server's folder"),
        ({"log": {"path": "log.ndjson\0"}}, "log.path", ""),
        ({"log": {"path": "log.ndjson", "topic": "other"}}, "log", "is not one of this service's"),
        ({"log": {"path": "log.ndjson", "columns": {"subject": "a"}}}, "log", "are for Parquet"),
        ({"log": {"path": "log.ndjson", "timezone": "Mars/Base"}}, "log", "Mars/Base"),
        ({"log": "log.ndjson"}, "log", "Expected `object"),
        ({"outcomes": "."}, "outcomes", "isn't in the server's folder"),
        ({"scorecards": [{"name": "default"}]}, "scorecards[0].measures", "missing required field"),
        ({"rules": [{"name": "x", "kind": "silence", "level": 3}, {"name": "y"}]}, "rules[1].kind", "missing"),
        ({"rules": [{"name": "a\tb", "kind": "silence", "level": 3}]}, "rules[0].name", "control character"),
        ({"lead_days": 0}, "lead_days", "Expected `int` >= 1"),
        ({"horizon_days": 731}, "horizon_days", "Expected `int` <= 730"),
        ({"lag": 3}, "lag", "unknown field"),
    ],
)
async def test_a_mistake_is_named(api: Api, body: dict[str, Any], field: str, said: str) -> None:
    answer = await api.post(PATH, body)
    assert (answer.status, answer.fields) == (422, [field])
    assert said in answer.json["errors"][0]["message"]
    assert (await api.get(PATH)).items == []


async def test_files_need_a_folder_of_logs_and_the_scope_write(settings: Settings, engine: AsyncEngine) -> None:
    async with running(settings, await make_key(engine, "admin")) as api:
        answer = await api.post(PATH, {"log": {"path": "log.ndjson"}})
        assert answer.status == 422
        assert "HEALTH_BACKTEST_FOLDER" in answer.json["errors"][0]["message"]
        assert (await api.post(PATH, {}, key=await make_key(engine, "read"))).status == 403
        assert (await api.get(f"{PATH}/00000000-0000-7000-8000-000000000000")).status == 404


def killed(_: Settings, __: ClaimedBacktest, ___: str) -> None:
    """The body of a process that the system ends for want of memory."""
    os.kill(os.getpid(), signal.SIGKILL)


def sleeping(_: Settings, __: ClaimedBacktest, ___: str) -> None:
    """The body of a process that takes long."""
    time.sleep(600)


async def test_a_back_test_whose_process_is_killed_each_time_fails(api: Api, engine: AsyncEngine) -> None:
    where = (await api.post(PATH, WHOLE)).headers["Location"]
    async with running_backtests(api, engine, killed):
        found = await ended(api, where)
    assert found["state"] == "failed"
    assert "ended from outside each time" in found["problem"]
    assert (await query(engine, "SELECT tries FROM backtests"))[0].tries == MOST_TRIES


async def test_a_back_test_goes_on_in_another_process_when_this_one_is_stopped(api: Api, engine: AsyncEngine) -> None:
    where = (await api.post(PATH, WHOLE)).headers["Location"]

    async def is_running() -> bool:
        return bool((await api.get(where)).json["state"] == "running")

    async with running_backtests(api, engine, sleeping):
        await eventually(is_running, "a run")
    assert (await api.get(where)).json["state"] == "queued"
    assert (await query(engine, "SELECT tries FROM backtests"))[0].tries == 0
    async with running_backtests(api, engine):
        assert (await ended(api, where))["state"] == "done"


async def test_a_run_that_another_has_taken_over_writes_nothing(api: Api, engine: AsyncEngine) -> None:
    await api.post(PATH, {})
    async with engine.begin() as connection:
        first = await backtests.claim(connection)
        assert first is not None
        assert await backtests.claim(connection) is None
    await query(engine, "UPDATE backtests SET heard_at = heard_at - interval '61 seconds' RETURNING id")
    async with engine.begin() as connection:
        second = await backtests.claim(connection)
        assert second is not None
        assert not await backtests.record_progress(connection, first, "late", 1, 2)
        await backtests.finish(connection, first, problem="late")
        await backtests.give_back(connection, first, in_good_order=True)
        assert await backtests.record_progress(connection, second, "now", 1, 2)
    (listed,) = (await api.get(PATH)).items
    assert (listed["state"], listed["step"], listed["problem"]) == ("running", "now", None)


async def test_only_some_may_wait_and_only_the_latest_are_kept(api: Api, engine: AsyncEngine) -> None:
    for _ in range(MOST_WAITING):
        assert (await api.post(PATH, {})).status == 202
    answer = await api.post(PATH, {})
    assert (answer.status, "aren't done yet" in answer.json["detail"]) == (409, True)
    await query(engine, "UPDATE backtests SET finished_at = now(), problem = 'x' RETURNING id")
    await query(
        engine,
        "INSERT INTO backtests (id, request, finished_at, created_at) SELECT gen_random_uuid(), '{}', now(), now()"
        f" FROM generate_series(1, {MOST_KEPT}) RETURNING id",
    )
    newest = (await api.post(PATH, {})).json["id"]
    assert (await query(engine, "SELECT count(*) FROM backtests"))[0][0] == MOST_KEPT
    pages = await api.all_items(f"{PATH}?page_size=30")
    assert len({each["id"] for each in pages}) == MOST_KEPT
    assert pages[0]["id"] == newest

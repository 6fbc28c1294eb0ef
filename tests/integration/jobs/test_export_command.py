"""`account-health export`: files that say what the API says, whole or not at all."""

import asyncio
import os
import signal
import subprocess
import sys
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import asyncpg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from service.cli.app import app
from service.runtime.errors import HealthError
from service.storage.access import exports
from service.storage.database.engine import create_engine
from tests.support.paths import ROOT
from tests.support.portfolio import Portfolio, counting
from tests.support.postgres import PostgresServer
from tests.support.service import eventually, settings_for

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder to which files go by default."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def export(*words: str) -> Result:
    return CliRunner().invoke(app, ["export", *words], catch_exceptions=False)


async def exported(portfolio: Portfolio, *words: str) -> str:
    """The output of the command."""
    env = {**os.environ, "HEALTH_DATABASE_URL": portfolio.database_url, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "service", "export", *words]
    done = await asyncio.to_thread(subprocess.run, command, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def some(portfolio: Portfolio) -> list[str]:
    return Random(7).sample(await portfolio.account_ids(), 12)


async def test_health_is_what_the_api_answers(portfolio: Portfolio, folder: Path) -> None:
    assert (await exported(portfolio)).startswith("health.parquet: 24 rows, ")
    table = pq.read_table(folder / "health.parquet")
    rows = {row["account_id"]: row for row in table.to_pylist()}
    assert list(rows) == sorted(await portfolio.account_ids())
    for account_id in await some(portfolio):
        health, row = await portfolio.health(account_id), rows[account_id]
        assert (row["score"], row["band"]) == counting(health)
        assert (row["coverage"], str(row["day"])) == (health["coverage"], health["day"])
        assert row["evaluated_at"] == datetime.fromisoformat(health["evaluated_at"])
        assert row["firing_alerts"] == len(health["alerts"])
    assert list(folder.iterdir()) == [folder / "health.parquet"]


async def test_every_column_has_its_type_and_says_what_it_is(portfolio: Portfolio, folder: Path) -> None:
    await exported(portfolio, "health", "daily", "measures", "alerts")
    schemas = {file.stem: pq.read_schema(file) for file in folder.iterdir()}
    assert sorted(schemas) == ["alerts", "daily", "health", "measures"]
    text, instant = pa.string(), pa.timestamp("us", tz="UTC")
    types = {field.name: field.type for schema in schemas.values() for field in schema}
    assert {name: kind for name, kind in types.items() if kind != text} == {
        **dict.fromkeys(["score", "computed_score", "coverage", "score_7d_ago", "score_30d_ago"], pa.float64()),
        **dict.fromkeys(["weight", "value", "previous_score", "threshold", "churn_probability"], pa.float64()),
        **dict.fromkeys(["started_on", "renews_on", "churned_on", "day"], pa.date32()),
        **dict.fromkeys(["run_first_day", "run_last_day"], pa.date32()),
        **dict.fromkeys(["evaluated_at", "override_expires_at", "created_at"], instant),
        **dict.fromkeys(["last_usage_at", "last_ticket_at", "last_survey_at"], instant),
        **dict.fromkeys(["acknowledged_at", "snoozed_until"], instant),
        **dict.fromkeys(["seats", "scorecard_version", "firing_alerts", "window_days"], pa.int32()),
        **dict.fromkeys(["overridden", "quiet"], pa.bool_()),
        "arr": pa.decimal128(16, 2),
    }
    assert {(name, field.name) for name, schema in schemas.items() for field in schema if not field.nullable} == {
        ("health", "account_id"), ("daily", "account_id"), ("daily", "day"), ("daily", "run_first_day"),
        ("daily", "run_last_day"), ("measures", "account_id"), ("measures", "name"), ("alerts", "id"),
        ("alerts", "created_at"),
    }  # fmt: skip
    for name, schema in schemas.items():
        assert all(field.metadata[b"description"] for field in schema)
        assert schema.metadata[b"dataset"] == name.encode()


async def test_days_are_what_the_api_answers(portfolio: Portfolio, folder: Path) -> None:
    first, last = portfolio.now.date() - timedelta(days=40), portfolio.now.date() - timedelta(days=3)
    await exported(portfolio, "daily", "--from", str(first), "--to", str(last))
    rows: defaultdict[str, dict[date, Any]] = defaultdict(dict)
    for row in pq.read_table(folder / "daily.parquet").to_pylist():
        assert row["day"] not in rows[row["account_id"]]
        rows[row["account_id"]][row["day"]] = row
    for account_id in await some(portfolio):
        told = {day: each for day, each in (await portfolio.days(account_id)).items() if first <= day <= last}
        assert rows[account_id].keys() == told.keys()
        for day, each in told.items():
            row = rows[account_id][day]
            assert (row["score"], row["band"]) == counting(each)
            assert (row["computed_score"], row["coverage"]) == (each["score"], each["coverage"])


async def test_by_default_it_is_90_days(portfolio: Portfolio, folder: Path) -> None:
    await exported(portfolio, "daily")
    days = pq.read_table(folder / "daily.parquet")["day"].to_pylist()
    assert (min(days), max(days)) == (portfolio.now.date() - timedelta(days=89), portfolio.now.date())


async def test_measures_and_alerts_are_what_the_api_answers(portfolio: Portfolio, folder: Path) -> None:
    await exported(portfolio, "measures", "alerts", "-o", str(folder))
    rows = pq.read_table(folder / "measures.parquet").to_pylist()
    for account_id in await some(portfolio):
        told = {each["name"]: each for each in (await portfolio.health(account_id))["measures"]}
        for row in (row for row in rows if row["account_id"] == account_id):
            each = told[row["name"]]
            assert (row["value"], row["missing"], row["weight"]) == (each["value"], each["missing"], each["weight"])
    told_alerts = await portfolio.api.all_items("/v1/alerts?page_size=100")
    alerts = pq.read_table(folder / "alerts.parquet").to_pylist()
    assert {row["id"] for row in alerts} == {alert["id"] for alert in told_alerts}
    assert [row["created_at"] for row in alerts] == sorted(row["created_at"] for row in alerts)


async def test_the_days_of_alerts_are_utc_days(portfolio: Portfolio, folder: Path) -> None:
    day, moment = datetime(2026, 3, 2, tzinfo=UTC), timedelta(microseconds=1)
    at = {"a": day - moment, "b": day, "c": day + timedelta(days=1) - moment, "d": day + timedelta(days=1)}
    connection = await asyncpg.connect(portfolio.database_url, server_settings={"timezone": "Pacific/Auckland"})
    await connection.execute(f"ALTER DATABASE {portfolio.database_url.rsplit('/', 1)[1]} SET timezone = 'Asia/Tokyo'")
    for rule, written in at.items():
        await connection.execute(
            "INSERT INTO alerts (id, rule, type, state, data, created_at)"
            " VALUES (gen_random_uuid(), $1, 't', 'firing', '{}', $2)",
            rule, written,
        )  # fmt: skip
    await connection.close()
    await exported(portfolio, "alerts", "--from", "2026-03-02", "--to", "2026-03-02")
    found = {row["rule"]: row["created_at"] for row in pq.read_table(folder / "alerts.parquet").to_pylist()}
    assert found == {"b": at["b"], "c": at["c"]}


async def test_many_chunks_and_row_groups(portfolio: Portfolio, folder: Path) -> None:
    connection = await asyncpg.connect(portfolio.database_url)
    await connection.execute(
        "INSERT INTO accounts (account_id, arr) SELECT 'many-' || n, n / 100.0 FROM generate_series(1, 130000) n;"
        "INSERT INTO scores (account_id) SELECT account_id FROM accounts WHERE account_id LIKE 'many-%'"
    )
    await connection.close()
    engine = create_engine(settings_for(portfolio.database_url, "127.0.0.1:1", ""), "test")
    async with engine.connect() as reading:
        columns = await exports.columns(reading, exports.HEALTH)
        chunks = [len(rows) async for rows in exports.rows(reading, exports.HEALTH, columns, date.min, date.max)]
    await engine.dispose()
    assert chunks == [exports.CHUNK] * 6 + [10_024], "they are never all in memory"
    await exported(portfolio)
    file = pq.ParquetFile(folder / "health.parquet")
    assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [100_000, 30_024]
    arr = {row["account_id"]: row["arr"] for row in file.read(["account_id", "arr"]).to_pylist()}
    assert len(arr) == 130_024
    assert all(int(arr[f"many-{n}"] * 100) == n for n in range(1, 130_001, 997))


# --- Whole or not at all ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_stopped_it_leaves_nothing_behind(portfolio: Portfolio, folder: Path, number: signal.Signals) -> None:
    (folder / "daily.parquet").write_text("from before")
    connection = await asyncpg.connect(portfolio.database_url)
    holding = connection.transaction()
    await holding.start()
    await connection.execute("LOCK TABLE history IN ACCESS EXCLUSIVE MODE")
    env = {**os.environ, "HEALTH_DATABASE_URL": portfolio.database_url, "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-m", "service", "export", "measures", "daily", "--force"]
    process = await asyncio.create_subprocess_exec(*words, env=env, stderr=subprocess.PIPE)

    async def under_way() -> bool:
        return len(list(folder.glob(".*.unfinished"))) == 2

    await eventually(under_way, "one file is written, the other begun")
    process.send_signal(number)
    _, told = await asyncio.wait_for(process.communicate(), 10)
    assert process.returncode == 128 + number
    assert told.decode() == "account-health: stopped; nothing was written\n"
    assert [(file.name, file.read_text()) for file in folder.iterdir()] == [("daily.parquet", "from before")]
    await holding.rollback()
    await connection.close()


async def test_a_file_that_is_there_is_kept_without_force(portfolio: Portfolio, folder: Path) -> None:
    (folder / "health.parquet").write_text("mine")
    for words in ([], ["daily", "health"], ["-o", "health.parquet"], ["-o", str(folder)]):
        with pytest.raises(HealthError, match=r"health\.parquet exists already\. Add --force"):
            export(*words)
    assert (folder / "health.parquet").read_text() == "mine"
    await exported(portfolio, "--force")
    assert pq.read_table(folder / "health.parquet").num_rows == 24


async def test_the_folder_is_made_if_only_that_is_missing(portfolio: Portfolio, folder: Path) -> None:
    said = await exported(portfolio, "health", "alerts", "--output", "exports/")
    assert said.startswith("exports/health.parquet: 24 rows, ")
    assert said.splitlines()[0].endswith(" kB")
    assert {file.name for file in (folder / "exports").iterdir()} == {"health.parquet", "alerts.parquet"}


async def test_a_file_can_be_named(portfolio: Portfolio, folder: Path) -> None:
    assert (await exported(portfolio, "daily", "-o", "days of all.parquet")).startswith("days of all.parquet: ")
    assert (folder / "days of all.parquet").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["scores"], "DATASET 'scores' is not known. Give health, daily, measures, alerts"),
        (["--from", "2026-01-01"], "--from and --to are for daily and alerts"),
        (["daily", "--from", "2026-01-02", "--to", "2026-01-01"], "--from 2026-01-02 is after --to 2026-01-01"),
        (["-o", "none/there"], "there is no folder none. Create it"),
        (["-o", "/dev/null"], "--output /dev/null: /dev/null is a file. Give another"),
        (["daily", "health", "-o", "x.parquet"], "--output x.parquet is one file, for 2 datasets"),
    ],
)
def test_what_cant_be_is_said(words: list[str], said: str, folder: Path) -> None:
    with pytest.raises(HealthError) as refused:
        export(*words)
    assert said in str(refused.value)
    assert list(folder.iterdir()) == []


def test_where_nothing_can_be_written_it_is_said(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEALTH_DATABASE_URL", database_url)
    with pytest.raises(HealthError, match=r"/proc/health\.parquet can't be written: .* with --output"):
        export("-o", "/proc")


def test_an_empty_database_gives_empty_files(database_url: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("HEALTH_DATABASE_URL", database_url)
    assert "health.parquet: 0 rows" in export("health", "daily", "measures", "alerts").stdout
    tables = {file.stem: pq.read_table(file) for file in folder.iterdir()}
    assert {name: table.num_rows for name, table in tables.items()} == dict.fromkeys(
        ["health", "daily", "measures", "alerts"], 0
    )
    assert all(table.num_columns > 5 for table in tables.values())


def test_without_views_or_server_it_says_what_to_do(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    url = postgres_server.create_empty()
    monkeypatch.setenv("HEALTH_DATABASE_URL", url)
    try:
        with pytest.raises(HealthError, match="account-health migrate"):
            export("-o", "exports")
    finally:
        postgres_server.drop(url)
    with pytest.raises(HealthError, match="HEALTH_DATABASE_URL"):
        export()
    assert list(folder.iterdir()) == []

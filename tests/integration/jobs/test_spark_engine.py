"""The engine on Spark: the rows of the local engine and of one process, and messages where Spark can't work."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark import cloudpickle
from pyspark.sql import SparkSession

from scoring.backtest.calibration.candidates import candidates
from scoring.backtest.horizon import Timing
from scoring.backtest.outcomes import Outcome
from scoring.rules.policy import Policy
from scoring.state.calendar import MICROSECONDS_PER_DAY, day_of, to_micros
from service.jobs.backtest import run
from service.jobs.backtest.engine_local import LocalEngine
from service.jobs.backtest.engine_spark import SparkEngine, open_session, pack_code, require_java
from service.jobs.backtest.event_log import partition_log
from service.jobs.backtest.partitioned_log import PartitionedLog
from service.jobs.backtest.policy_codec import encode_policy
from service.jobs.backtest.readings_task import FeaturesTask, ReadingsTask, encode_outcomes
from service.jobs.backtest.replay_task import ReplayRow
from service.jobs.backtest.run import Engine, engine_named, replay_log, run_task_on
from service.jobs.load.files import LoadRequest
from service.runtime import errors
from service.runtime.errors import HealthError
from tests.support.event_logs import BEGIN, DAYS, log_of, replayed, some_policy, write_log

pytestmark = pytest.mark.timeout(400)  # Spark takes a minute to start on two busy processors

ACCOUNTS = ["acme-0", "acme-1", "acme-10", "acme-2", "Äpfel", "zeta", "\U0001f600"]
LAST = to_micros(BEGIN) + DAYS * MICROSECONDS_PER_DAY


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkSession]:
    """The one session of the tests."""
    try:
        require_java()
    except HealthError as error:
        pytest.skip(str(error))
    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # type: ignore[no-untyped-call] # executors have no tests
    session = open_session("local[2]")
    yield session
    session.stop()


def opened(tmp_path: Path, events: list[dict[str, Any]]) -> PartitionedLog:
    file = write_log(tmp_path / "log.ndjson", events)
    return asyncio.run(partition_log(LoadRequest([file], None, None, tmp_path / "work"), 100_000, asyncio.Event()))


def rows_of(log: PartitionedLog, policy: Policy, engine: Engine, **options: Any) -> list[ReplayRow]:
    return list(replay_log(log, policy, engine, until=LAST, advance=lambda _: None, **options))


class Fails:
    """A task that fails on executors."""

    schema = pa.schema([("account", pa.string()), ("day", pa.int32())])

    def __init__(self, how: str) -> None:
        self.digest = how.encode()
        self._how = how

    def rows(self, account_id: str, events: list[Any]) -> pa.Table:
        if self._how == "missing":
            raise ModuleNotFoundError("No module named 'msgspec'")
        raise ValueError(f"here is {[path for path in sys.path if 'account-health-' in path]}")


def test_spark_gives_the_rows_of_the_local_engine_and_of_one_process(tmp_path: Path, spark: SparkSession) -> None:
    events = log_of(ACCOUNTS)
    log = opened(tmp_path, events)
    engine = SparkEngine(session=spark)
    expected = replayed(events, some_policy(), LAST)
    assert rows_of(log, some_policy(), engine) == expected
    assert rows_of(log, some_policy(), LocalEngine(2)) == expected
    assert rows_of(log, some_policy(), engine, full=True) == expected
    assert {crossing.rule for row in expected for crossing in row.crossings} == {"low", "red", "quiet"}

    finished = next((log.folder / "results").glob("spark-*/_SUCCESS"))
    written = finished.stat().st_mtime_ns
    assert rows_of(log, some_policy(), engine) == expected
    assert finished.stat().st_mtime_ns == written, "a finished result was worked out again"

    # The code comes with the session, and what fails there is told by its own words.
    with pytest.raises(HealthError, match=r"Spark failed: ValueError: here is \['/\S+/account-health-\w+\.zip'\]"):
        engine.run(log, Fails("code"), lambda _: None)
    with pytest.raises(HealthError, match=r"no Python package msgspec.*PYSPARK_PYTHON"):
        engine.run(log, Fails("missing"), lambda _: None)


def test_spark_reads_for_a_calibration_what_the_local_engine_reads(tmp_path: Path, spark: SparkSession) -> None:
    log = opened(tmp_path, log_of(ACCOUNTS, seed=4))
    ends = day_of(log.contents.newest)
    outcomes = [Outcome(account, ends - 2 * n, n % 2 == 0) for account in ACCOUNTS for n in (0, 9, 40)]
    tried = tuple(candidates({"login": 2, "export": 1}, 92))
    task = ReadingsTask(tried, encode_policy(some_policy()), encode_outcomes(outcomes), ends, Timing(3))
    for each in (FeaturesTask(), task):
        local, on_spark = (
            [repr(sorted(batch.to_pylist(), key=str)) for batch in run_task_on(log, each, engine, lambda _: None)]
            for engine in (LocalEngine(2), SparkEngine(session=spark))
        )
        assert on_spark == local
        assert len(local) == len(ACCOUNTS)


def test_the_session_is_of_utc_and_of_as_many_partitions_as_the_log(tmp_path: Path, spark: SparkSession) -> None:
    log = opened(tmp_path, log_of(ACCOUNTS[:2], seed=3))
    rows_of(log, some_policy(), SparkEngine(session=spark))
    assert spark.conf.get("spark.sql.session.timeZone") == "UTC"
    assert spark.conf.get("spark.sql.shuffle.partitions") == str(len(log.contents.partitions))


def test_the_code_for_executors_needs_nothing_but_itself_msgspec_and_arrow(tmp_path: Path) -> None:
    log = opened(tmp_path, log_of(ACCOUNTS[:1]))
    archive = pack_code(log)
    policy = encode_policy(some_policy())
    program = f"""
import sys
sys.path.insert(0, {str(archive)!r})
import pyarrow.parquet as pq
from service.jobs.backtest import replay_task
table = pq.read_table({str(log.events_folder)!r})
print(replay_task.run_task(replay_task.ReplayTask({policy!r}, {LAST}), table).num_rows)
ours = [module.__file__ for name, module in sys.modules.items() if name.split(".")[0] in ("service", "scoring")]
assert all(file.startswith({str(archive)!r}) for file in ours), ours
loaded = {{name.split(".")[0] for name in sys.modules}}
assert loaded.isdisjoint(["aiokafka", "fastapi", "pydantic", "rich", "sqlalchemy", "yaml"]), loaded
"""
    ran = subprocess.run(
        [sys.executable, "-I", "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert int(ran.stdout) == len(rows_of(log, some_policy(), LocalEngine(1)))


def java(folder: Path, version: str) -> None:
    (folder / "bin").mkdir(parents=True)
    (program := folder / "bin" / "java").write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
    program.chmod(0o755)


def test_without_java_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HealthError, match=r"needs Java, and there is no java on the PATH. Install Java 17.*local"):
        open_session("local[1]")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "none"))
    with pytest.raises(HealthError, match=r"JAVA_HOME is \S+none, where there is no bin/java"):
        open_session("local[1]")


@pytest.mark.parametrize(
    ("version", "fault"), [("11.0.2", "version 11"), ("1.8.0_292", "version 8"), ("?", "no known version")]
)
def test_an_old_java_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, fault: str) -> None:
    java(tmp_path, version)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(HealthError, match=rf"needs Java 17, and {tmp_path}/bin/java is.* {fault}.*set JAVA_HOME"):
        open_session("local[1]")


def test_a_newer_java_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    java(tmp_path, "21.0.4")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    require_java()


def test_without_the_extra_the_message_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errors, "find_spec", lambda _: None)
    with pytest.raises(HealthError, match=r"--engine spark needs the extra `spark`.*'account-health\[spark\]'"):
        engine_named("spark")
    assert run.engine_named("local") == LocalEngine()

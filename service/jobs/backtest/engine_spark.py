"""The engine of a cluster, or of this machine: Spark calls the same function for each account.

Executors need Python, pyarrow and msgspec, and a path to the working folder; the code of the replay is sent to them.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
from msgspec import Struct
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import from_arrow_schema

from service.jobs.backtest.account_events import ACCOUNT
from service.jobs.backtest.code_fingerprint import code_fingerprint
from service.jobs.backtest.partitioned_log import PartitionedLog, unwritable
from service.jobs.backtest.replay_task import DAY, AccountTask, run_task
from service.jobs.backtest.result_files import results_folder
from service.jobs.load.terminal import Advance, readable, reason_of
from service.runtime.errors import HealthError

OLDEST_JAVA = 17
LOCAL = "local[*]"
_SENT = ("scoring", "service/__init__.py", "service/jobs/__init__.py", "service/jobs/backtest")
"""The code of the replay; the rest of `service` needs packages that executors don't have."""


class SparkEngine(Struct, frozen=True):
    """Runs tasks on the Spark at `master`, or with a session that is there already, which stays open."""

    master: str | None = None
    session: SparkSession | None = None

    def run(self, log: PartitionedLog, task: AccountTask, advance: Advance) -> Sequence[Path]:
        """See `LocalEngine`. Spark shows its own progress; an unfinished result is worked out again as a whole."""
        folder = results_folder(log, task, "spark")
        if not (folder / "_SUCCESS").exists():
            with _as_health_error(), self._opened() as session:
                session.sparkContext.addPyFile(str(pack_code(log).absolute()))
                _write(_rows(session, log, task), folder)
        advance(log.contents.events)
        return sorted(folder.glob("part-*.parquet"))

    @contextmanager
    def _opened(self) -> Iterator[SparkSession]:
        if self.session is not None:
            yield self.session
            return
        session = open_session(self.master or LOCAL)
        try:
            yield session
        finally:
            session.stop()


def open_session(master: str) -> SparkSession:
    """A session with the settings that replays need. Raises `HealthError` if there is no Java for it."""
    require_java()
    builder = SparkSession.builder.appName("account-health").master(master)
    settings = {"spark.sql.session.timeZone": "UTC"}
    if master.startswith("local"):
        # Executors are this Python, and talk to it without a look at the machine's name or its network.
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        settings |= {
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.ui.enabled": "false",
        }
    for name, value in settings.items():
        builder = builder.config(name, value)
    session: SparkSession = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    return session


def require_java() -> None:
    """Raise `HealthError` unless there is a Java that Spark can run on."""
    remedy = f"Install Java {OLDEST_JAVA} or newer (Debian: apt-get install openjdk-{OLDEST_JAVA}-jre-headless)"
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=str(Path(home, "bin"))) if home else shutil.which("java")
    if java is None:
        where = f"JAVA_HOME is {home}, where there is no bin/java" if home else "there is no java on the PATH"
        raise HealthError(f"Spark needs Java, and {where}", f"{remedy}, or use --engine local")
    answer = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr  # noqa: S603 - no shell, and the path is the operator's
    version = re.search(r'version "(?:1\.)?(\d+)', answer)
    if version is None or int(version[1]) < OLDEST_JAVA:
        found = f"version {version[1]}" if version else "of no known version"
        raise HealthError(
            f"Spark needs Java {OLDEST_JAVA}, and {java} is {found}", f"{remedy}, and set JAVA_HOME to it"
        )


def _rows(session: SparkSession, log: PartitionedLog, task: AccountTask) -> DataFrame:
    # Left to itself, adaptive execution puts few partitions into one or two, and as many processors have work.
    session.conf.set("spark.sql.adaptive.enabled", "false")
    session.conf.set("spark.sql.shuffle.partitions", str(len(log.contents.partitions)))

    def rows(account: pa.Table) -> pa.Table:
        return run_task(task, account)

    events = session.read.parquet(log.events_folder.absolute().as_uri())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a type hint that it can't make out, and needn't
        found = events.groupBy(ACCOUNT).applyInArrow(rows, from_arrow_schema(task.schema))
    # Each file in order, as the local engine's are: a sort of all would work everything out twice, to sample it.
    return found.sortWithinPartitions(ACCOUNT, DAY)


def _write(rows: DataFrame, folder: Path) -> None:
    """Write the rows, whole or not at all: Spark adds the file `_SUCCESS` last."""
    rows.write.mode("overwrite").parquet(folder.absolute().as_uri())


def pack_code(log: PartitionedLog) -> Path:
    """The archive of the code that executors run, in the log's folder: they fetch it whenever one of them starts."""
    archive = log.folder / f"account-health-{code_fingerprint()}.zip"
    if not archive.exists():
        unfinished = archive.with_suffix(f".{os.getpid()}")
        with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as packed:
            for file, name in _code():
                # Without the file's time: a session refuses another archive of the same name.
                packed.writestr(zipfile.ZipInfo(name), file.read_bytes())
        unfinished.replace(archive)
    return archive


def _code() -> Iterator[tuple[Path, str]]:
    spec = importlib.util.find_spec("scoring")
    assert spec is not None
    assert spec.origin is not None
    root = Path(spec.origin).parents[1]
    for name in _SENT:
        path = root / name
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            yield file, str(file.relative_to(root))


@contextmanager
def _as_health_error() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise unwritable(str(error.filename), error) from None
    except (PySparkException, Py4JError) as error:
        missing = re.search(r"ModuleNotFoundError: No module named '([\w.]+)'", str(error))
        if missing:
            raise HealthError(
                f"Spark's executors have no Python package {missing[1]}",
                "Install msgspec and pyarrow for their Python, and name it in PYSPARK_PYTHON (deploy/backtests.md)",
            ) from None
        raise HealthError(
            f"Spark failed: {_reason(error)}", "Its own lines above say more; --engine local needs no Spark"
        ) from None


def _reason(error: Exception) -> str:
    """The cause at the end of the chain: the last line of Python's traceback, or of Java's causes."""
    python = _PYTHON_ERROR.findall(str(error))
    java = re.findall(r"^Caused by: (.+)$", str(error), re.MULTILINE)
    return readable(python[-1]) if python else readable(java[-1]) if java else reason_of(error)


_PYTHON_ERROR = re.compile(r"^  File .*\n(?:[ \t].*\n)*(\w[\w.]*(?:: .*)?)$", re.MULTILINE)
"""The line after the last frame of a traceback."""

"""Fixtures. Servers start when the first test asks for them: unit tests alone start none."""

import re
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
import structlog

from tests.support import hypothesis_profiles, kafka_choice, postgres, sizes
from tests.support.kafka_choice import ApacheKafkaRequiredError, KafkaServer, run_kafka
from tests.support.postgres import PostgresServer, run_postgres

TESTS = Path(__file__).parent
FOLDERS = ("faults", "acceptance", "deploy", "integration", "property", "unit")
"""The folders in the order of their longest tests, for files without a time limit of their own."""

hypothesis_profiles.load_profile()  # now, as modules of tests read it when they are imported
pytest_plugins = ["tests.support.fixtures", "tests.support.api", "tests.support.portfolio"]


def pytest_configure() -> None:
    """Tracebacks as the service logs them. Unconfigured, structlog draws them with all local variables, which takes
    seconds for a batch, and a consumer in a test's own process misses its heartbeats meanwhile.
    """
    *before, _ = structlog.get_config()["processors"]
    renderer = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*before, renderer])


def pytest_report_header() -> list[str]:
    """Say which servers the tests will talk to, and how large seeded runs are."""
    size = "large" if sizes.LARGE else "small; HEALTH_TEST_SIZE=large for a nightly run"
    return [f"postgres: {postgres.describe()}", f"kafka: {kafka_choice.describe()}", f"seeded runs: {size}"]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config) -> None:
    """Fetch what servers need before several processes run tests: once, and where it can be said on the terminal."""
    try:
        kafka_choice.prepare(lambda line: _print_now(config, line))
    except ApacheKafkaRequiredError as error:
        pytest.exit(str(error), returncode=1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put long files first, or else one process would work at the end while the others have nothing left."""
    limits: defaultdict[Path, float] = defaultdict(float)
    for item in items:
        marker = item.get_closest_marker("timeout")
        limits[item.path] = max(limits[item.path], float(marker.args[0]) if marker else 0.0)
    items.sort(key=lambda item: (-limits[item.path], _folder_of(item)))


def _folder_of(item: pytest.Item) -> int:
    folder = item.path.relative_to(TESTS).parts[0]
    return FOLDERS.index(folder) if folder in FOLDERS else 0


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Async tests run on asyncio."""
    return "asyncio"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The Postgres of this run."""
    with _folder("postgres") as folder, run_postgres(folder) as server:
        yield server


@pytest.fixture
def database_url(postgres_server: PostgresServer) -> Iterator[str]:
    """`postgresql://…` of a database of the test's own, with the newest schema and nothing else in it."""
    url = postgres_server.lend()
    yield url
    postgres_server.take_back(url)


@pytest.fixture(scope="session")
def kafka_server(request: pytest.FixtureRequest) -> Iterator[KafkaServer]:
    """The Kafka of this run; tests share it, so they name their topics and groups after `topic_prefix`."""

    def announce(line: str) -> None:
        _print_now(request.config, line)

    with _folder("kafka") as folder, ExitStack() as stack:
        try:
            server = stack.enter_context(run_kafka(folder, announce))
        except ApacheKafkaRequiredError as error:
            pytest.exit(str(error), returncode=1)
        yield server


@pytest.fixture(scope="session")
def bootstrap(kafka_server: KafkaServer) -> str:
    """`host:port` of the Kafka of this run."""
    return kafka_server.bootstrap


@pytest.fixture
def topic_prefix(request: pytest.FixtureRequest) -> str:
    """The beginning of the names of a test's topics and groups: unique, and it names the test."""
    test = re.sub(r"[^a-zA-Z0-9]+", "-", request.node.name).strip("-")
    return f"{test[:60]}-{uuid4().hex[:8]}-"


@pytest.fixture
def server_folder() -> Iterator[Path]:
    """A folder for a server of the test's own: one that it may kill."""
    with _folder("test") as folder:
        yield folder


@contextmanager
def _folder(name: str) -> Iterator[Path]:
    """A folder for a server. Not pytest's `tmp_path`, which may stay closed to the account Postgres runs as."""
    folder = Path(tempfile.mkdtemp(prefix=f"account-health-{name}-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _print_now(config: pytest.Config, line: str) -> None:
    """Show a line on the terminal at once, though tests' output is captured."""
    capture = config.pluginmanager.get_plugin("capturemanager")
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    assert capture is not None
    assert terminal is not None
    with capture.global_and_fixture_disabled():
        terminal.write_line("")
        terminal.write_line(line, bold=True)

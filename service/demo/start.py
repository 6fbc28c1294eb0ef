"""Starting the whole service, as an operator would, one step after the other; the log goes to a file."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_urlsafe

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from service.demo.api_client import ApiClient
from service.demo.data_folder import DemoFolder, DemoMemory, DemoOptions
from service.demo.feed.broker_log import skip_lost_log
from service.demo.feed.producer import Producer
from service.demo.startup_screen import Steps
from service.demo.view.board import Board
from service.demo.webhook_receiver import WebhookReceiver
from service.embedded.ports import free_port, is_free
from service.embedded.stack import EmbeddedStack
from service.evaluation.bootstrap import prepare_database
from service.messaging.topics import create_topics
from service.observability.logs import configure_logs
from service.runtime.api_key import new_key
from service.runtime.api_readiness import local_api_url, wait_until_live
from service.runtime.child_process import ProcessSpec
from service.runtime.ids import new_id
from service.runtime.private_files import read_or_create_private, write_private
from service.runtime.settings import Settings, load_settings
from service.runtime.supervisor import Supervisor, process_specs
from service.runtime.tasks import to_thread_uncancelled
from service.storage.access import api_keys
from service.storage.database.engine import create_engine
from service.storage.database.session import in_transaction


def log_to(path: Path, settings: Settings) -> None:
    """Append this process's log lines to a file."""
    configure_logs(settings, "demo")
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(path.open("a"))


CONSUMERS = 2
PARTITIONS = 4
"""Few, so that live events share batches: the embedded broker keeps each batch as text."""


@dataclass(frozen=True)
class RunningService:
    """A running service, with everything that the rest of the demo needs of it."""

    settings: Settings
    key: str
    client: ApiClient
    producer: Producer
    engine: AsyncEngine
    tasks: asyncio.TaskGroup
    rest: Supervisor

    @property
    def url(self) -> str:
        """The API's address."""
        return local_api_url(self.settings)

    @property
    def port(self) -> int:
        """The API's port."""
        return self.settings.http_port

    def start_rest(self) -> None:
        """Start sweeper and delivery, which act on their own: before history is loaded they would report silence that
        isn't real.
        """
        self.tasks.create_task(self.rest.run(asyncio.Event()))


async def start_service(
    options: DemoOptions, folder: DemoFolder, memory: DemoMemory, board: Board, steps: Steps, stack: AsyncExitStack
) -> RunningService:
    """Start servers, processes and receiver; `stack` stops them all, in order. Raises `HealthError`."""
    servers = EmbeddedStack(folder.path)
    with steps.step("PostgreSQL and a Kafka-compatible broker"):
        stack.push_async_callback(to_thread_uncancelled, servers.stop)
        environment = await to_thread_uncancelled(servers.start) | _environment(options, folder)
    settings = load_settings(environment)
    log_to(folder.logs / "demo.log", settings)
    with steps.step("Schema, scorecard and topics"):
        await to_thread_uncancelled(prepare_database, settings)
        await create_topics(settings)
        engine = await stack.enter_async_context(_engine(settings))
        await skip_lost_log(settings, engine)
        key = await to_thread_uncancelled(read_or_create_private, folder.api_key, lambda: _make_key(settings))

    receiver = WebhookReceiver(board.add_webhook)
    webhook_url = await _listen(receiver, folder, memory, stack)
    first, rest = _supervisors(environment, folder.logs, board)
    tasks = await stack.enter_async_context(asyncio.TaskGroup())
    tasks.create_task(servers.watch(board.tell))
    with steps.step(f"API and {CONSUMERS} consumers"):
        tasks.create_task(first.run(asyncio.Event()))
        await wait_until_live(settings)
    client = await stack.enter_async_context(ApiClient.connected(local_api_url(settings), key))
    with steps.step("Alert rule and webhook endpoint, over the API"):
        await client.ensure_rule()
        receiver.secret = await _secret(client, folder, webhook_url)
    producer = await stack.enter_async_context(Producer.connected(settings))
    return RunningService(settings, key, client, producer, engine, tasks, rest)


def _environment(options: DemoOptions, folder: DemoFolder) -> dict[str, str]:
    """The demo's settings, which override the environment's."""
    return {
        "HEALTH_ENCRYPTION_KEY": read_or_create_private(folder.encryption_key, token_urlsafe),
        "HEALTH_HTTP_PORT": str(_free_from(options.port)),
        "HEALTH_KAFKA_PARTITIONS": str(PARTITIONS),
        "HEALTH_WEBHOOK_ALLOW_HTTP": "true",
        "HEALTH_WEBHOOK_ALLOW_NETWORKS": "127.0.0.0/8",
    }


def _free_from(port: int) -> int:
    return next((each for each in range(port, 65_536) if is_free(each)), port)


def _make_key(settings: Settings) -> str:
    key = new_key()

    async def insert(connection: AsyncConnection) -> None:
        now = datetime.now(UTC)
        await api_keys.create(
            connection, new_id(), name="demo", digest=key.digest, hint=key.hint, scopes=["admin"], now=now
        )

    in_transaction(settings, insert)
    return key.text


async def _listen(receiver: WebhookReceiver, folder: DemoFolder, memory: DemoMemory, stack: AsyncExitStack) -> str:
    """Listen on the last run's port, if possible; returns the URL."""
    if not memory.receiver_port or not is_free(memory.receiver_port):
        memory.receiver_port = free_port()
        folder.save(memory)
    return await stack.enter_async_context(receiver.listening(memory.receiver_port))


async def _secret(client: ApiClient, folder: DemoFolder, url: str) -> str:
    """The secret that signs webhooks to `url`, which receives them from now on."""
    if not (folder.webhook_secret.exists() and await client.has_endpoint(url)):
        write_private(folder.webhook_secret, await client.create_endpoint(url))
    return folder.webhook_secret.read_text()


def _supervisors(environment: dict[str, str], logs: Path, board: Board) -> tuple[Supervisor, Supervisor]:
    """The supervisors of the API and the consumers, and of the rest."""

    def tell(role: ProcessSpec, status: int, wait: float) -> None:
        board.tell(f"{role.name} ended with status {status} and is started again in {wait:.0f} s; see {logs}")

    roles = process_specs(CONSUMERS, alone=True)
    parts = [[role for role in roles if (role.command in ("api", "consume")) is first] for first in (True, False)]
    first, rest = (Supervisor(part, environment, logs=logs, on_restart=tell) for part in parts)
    return first, rest


@asynccontextmanager
async def _engine(settings: Settings) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(settings, "demo")
    try:
        yield engine
    finally:
        await engine.dispose()

"""`account-health up`: the whole service from one command."""

import asyncio
import shlex
from collections.abc import Mapping
from pathlib import Path
from secrets import token_urlsafe
from typing import Annotated

import structlog
import typer

from service.cli.run_process import run_process
from service.embedded.stack import EmbeddedStack
from service.evaluation.bootstrap import prepare_database
from service.messaging.topics import create_topics
from service.runtime.api_readiness import local_api_url, wait_until_live
from service.runtime.child_process import ProcessSpec
from service.runtime.private_files import read_or_create_private, write_private
from service.runtime.settings import Settings, load_settings
from service.runtime.supervisor import BUDGET_SECONDS, Supervisor, process_specs
from service.runtime.tasks import to_thread_uncancelled, until_first

log = structlog.get_logger(__name__)
DATA_DIR = Path(".account-health")
ENVIRONMENT = "environment"
"""The file in the data folder that holds the variables of `up --embedded`, for shells."""
SERVERS_SECONDS = 30.0
"""The time limit in seconds for stopping the embedded servers, after the processes."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(up)


def up(
    consumers: Annotated[
        int, typer.Option(min=1, max=64, help="The number of consumers that share the partitions.")
    ] = 1,
    embedded: Annotated[
        bool,
        typer.Option("--embedded", help="Start a Postgres and a broker of its own: for trials, not for production."),
    ] = False,
    data_dir: Annotated[Path, typer.Option(file_okay=False, help="The folder for the data of --embedded.")] = DATA_DIR,
) -> None:
    """Prepare the database and the topics, then run api, consumers, sweeper and delivery until it is stopped."""

    async def with_given_servers(settings: Settings, stop: asyncio.Event) -> None:
        await _run(settings, {}, process_specs(consumers, probes_port=settings.probes_port), "", stop)

    async def with_own_servers(settings: Settings, stop: asyncio.Event) -> None:
        servers = EmbeddedStack(data_dir.resolve())
        try:
            environment = await to_thread_uncancelled(servers.start)
            if settings.encryption_key is None:
                environment["HEALTH_ENCRYPTION_KEY"] = read_or_create_private(
                    data_dir / "encryption-key", token_urlsafe
                )
            roles = process_specs(consumers, alone=True, probes_port=settings.probes_port)
            running = _run(
                load_settings(environment), environment, roles, _where(environment, data_dir.resolve()), stop
            )
            await until_first(running, servers.watch(lambda what: log.warning("server_died", what=what)))
        finally:
            await to_thread_uncancelled(servers.stop)

    main = with_own_servers if embedded else with_given_servers
    run_process("up", main, load_settings(), grace_seconds=BUDGET_SECONDS + SERVERS_SECONDS)


async def _run(
    settings: Settings, environment: Mapping[str, str], roles: list[ProcessSpec], where: str, stop: asyncio.Event
) -> None:
    await to_thread_uncancelled(prepare_database, settings)
    await create_topics(settings)
    announcing = asyncio.create_task(_announce(settings, where))
    try:
        await Supervisor(roles, environment).run(stop)
    finally:
        announcing.cancel()


def _where(environment: Mapping[str, str], data_dir: Path) -> str:
    """The shell words before another command that point it at our own servers. The password stays in a file of ours:
    terminals are recorded, and all users of a machine see command lines.
    """
    path = data_dir / ENVIRONMENT
    write_private(path, "".join(f"export {name}={shlex.quote(value)}\n" for name, value in environment.items()))
    return f". {shlex.quote(str(path))}; "


async def _announce(settings: Settings, where: str) -> None:
    """Print the addresses, once the API answers."""
    await wait_until_live(settings)
    url = local_api_url(settings)
    typer.echo(f"The API answers at {url}, its documentation at {url}/docs")
    typer.echo(f"To make an API key: {where}account-health api-key create NAME --scope admin")

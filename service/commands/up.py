"""`account-health up`: the whole service from one command."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from secrets import token_urlsafe
from typing import Annotated

import typer

from service.blocking import in_thread
from service.commands.database import prepare_database
from service.embedded.stack import EmbeddedStack
from service.kept import kept
from service.process import run_process
from service.settings import Settings, load_settings
from service.supervisor import Supervisor, service_roles
from service.topics import create_topics
from service.waiting import local_url, until_live

DATA_DIR = Path(".account-health")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(up)


def up(
    consumers: Annotated[int, typer.Option(min=1, max=64, help="How many consumers share the partitions.")] = 1,
    embedded: Annotated[
        bool, typer.Option("--embedded", help="Bring an own Postgres and broker: for trying out, not for production.")
    ] = False,
    data_dir: Annotated[Path, typer.Option(file_okay=False, help="Where --embedded keeps its data.")] = DATA_DIR,
) -> None:
    """Prepare the database and the topics, then run api, consumers, sweeper and delivery until a signal."""

    async def main(settings: Settings, stop: asyncio.Event) -> None:
        async with AsyncExitStack() as stack:
            environment: Mapping[str, str] = {}
            if embedded:
                environment = await _bring_servers(settings, data_dir.resolve(), stack)
                settings = load_settings(environment)
            await in_thread(prepare_database, settings)
            await create_topics(settings)
            supervisor = Supervisor(service_roles(consumers, alone=embedded), environment)
            async with asyncio.TaskGroup() as tasks:
                announcing = tasks.create_task(_announce(settings, embedded=embedded))
                try:
                    await supervisor.run(stop)
                finally:
                    announcing.cancel()

    run_process("up", main, load_settings())


async def _bring_servers(settings: Settings, folder: Path, stack: AsyncExitStack) -> dict[str, str]:
    servers = EmbeddedStack(folder)
    stack.push_async_callback(in_thread, servers.stop)
    environment = await in_thread(servers.start)
    if settings.encryption_key is None:
        environment["HEALTH_ENCRYPTION_KEY"] = kept(folder / "encryption-key", token_urlsafe)
    return environment


async def _announce(settings: Settings, *, embedded: bool) -> None:
    """Tell people where to go, once somebody is there to answer."""
    await until_live(settings)
    url = local_url(settings)
    typer.echo(f"The API answers at {url}, its documentation at {url}/docs")
    prefix = ""
    if embedded:
        database_url = settings.database_url.get_secret_value()
        prefix = f"HEALTH_DATABASE_URL={database_url} "
        typer.echo(f"Postgres: {database_url}\nKafka:    {settings.kafka_bootstrap_servers}")
    typer.echo(f"To make an API key: {prefix}account-health api-key create NAME --scope admin")

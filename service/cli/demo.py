"""`account-health demo`."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from service.runtime.errors import HealthError
from service.runtime.supervisor import StartError

LAST_LINES = 15


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(demo)


def demo(
    reset: Annotated[bool, typer.Option("--reset", help="Remove the demo's data, and do nothing else.")] = False,
    data_dir: Annotated[Path, typer.Option(file_okay=False, help="The folder of the demo's data.")] = Path(".demo"),
    accounts: Annotated[int, typer.Option(min=20, max=1000, help="The number of accounts in a new demo.")] = 200,
    port: Annotated[
        int, typer.Option(min=1, max=65_535, envvar="HEALTH_HTTP_PORT", help="The API's port, or the next free one.")
    ] = 8080,
    rate: Annotated[float, typer.Option(min=1, max=2000, help="Events a second of everyday traffic.")] = 20,
    seed: Annotated[int, typer.Option(help="Another seed makes other customers.")] = 7,
) -> None:
    """Watch the whole service at work, on embedded servers and with made-up customers, until Ctrl-C."""
    # Here, because every process of the service imports this module, and only the demo needs these.
    from service.demo.data_folder import DemoFolder, DemoOptions
    from service.demo.run import run, until_stopped

    if reset:
        removed = DemoFolder(data_dir).reset()
        typer.echo(f"{data_dir.resolve()} {'is removed' if removed else 'is not there: nothing to remove'}.")
        return
    console = Console()
    try:
        asyncio.run(until_stopped(run(DemoOptions(data_dir, accounts, port, rate, seed), console)))
    except StartError as error:
        raise HealthError(error.problem, _log_end(error.log)) from None
    typer.echo("Stopped. `account-health demo` continues from here, `account-health demo --reset` deletes it all.")


def _log_end(log: Path | None) -> str:
    assert log is not None
    lines = log.read_text(errors="replace").splitlines()[-LAST_LINES:]
    return f"Its log, {log}, ends:\n" + "\n".join(f"  {line}" for line in lines)

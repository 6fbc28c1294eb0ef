"""`account-health sources`: the senders of usage events, the number of their accounts, and those that have
gone quiet.
"""

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.evaluation import sources
from service.evaluation.sources import ReportedSource
from service.runtime.errors import HealthError
from service.runtime.settings import load_settings
from service.storage.database.clock_check import agreed_now
from service.storage.database.session import in_transaction

WIDE = 200
DAYS = 8
"""Enough to show a week, and the same weekday of the week before."""


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(help="Sources of usage events, and ending an outage of one.", invoke_without_command=True)
    group.callback()(show)
    group.command()(end)
    app.add_typer(group, name="sources")


def show(context: typer.Context) -> None:
    """Show the number of accounts that each source reported on the last days, newest first, and the sources that are
    quiet.
    """
    if context.invoked_subcommand is not None:
        return
    today = datetime.now(UTC).date()
    table = Table("source", "state", "accounts per day", "counted up to", "last outage", box=None)
    table.columns[0].overflow = "fold"  # whole, to be copied into `end`
    for source in in_transaction(load_settings(), lambda connection: sources.listing(connection, today)):
        table.add_row(*map(Text, _cells(source)))
    console = Console()
    if not console.is_terminal:
        console.width = WIDE
    console.print(table)


def end(name: Annotated[str, typer.Argument(metavar="NAME", help="As `account-health sources` shows it.")]) -> None:
    """End a source's outage: from the next day on, silence fires alerts again."""
    settings = load_settings()

    async def work(connection: AsyncConnection) -> bool:
        return await sources.end(connection, name, await agreed_now(connection), settings.base_url)

    if not in_transaction(settings, work):
        raise HealthError(f"{name!r} isn't a quiet source", "Run: account-health sources")
    typer.echo("The outage is over.")


def _cells(source: ReportedSource) -> list[str]:
    counts = " ".join(str(day.accounts) for day in source.days[:DAYS])
    counted = str(source.days[0].day) if source.days else ""
    return [source.name, "QUIET" if source.is_silent else "ok", counts, counted, _last_outage(source)]


def _last_outage(source: ReportedSource) -> str:
    if not source.outages:
        return ""
    last = source.outages[0]
    end = f"{last.ended_at:%Y-%m-%d %H:%M}" if last.ended_at else "now"
    return f"{last.began_on} to {end}"

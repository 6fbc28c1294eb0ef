"""`account-health dead-letters …`: refused records, and sending them again after a fix."""

from datetime import datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.cli import dead_letters_replay
from service.cli.dead_letter_text import line, lines
from service.runtime.errors import HealthError
from service.runtime.settings import Settings, load_settings
from service.storage.database.session import in_transaction
from service.storage.ingest import dead_letter_listing
from service.storage.ingest.dead_letter_listing import DeadLetter, DeadLetterFilter

WIDE = 200
PAGE = 20
"""Few, as records may be large."""

TopicOption = Annotated[str | None, typer.Option("--topic", help="Only of this topic.")]


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(help="Records that were refused, and sending them again.", no_args_is_help=True)
    group.command(name="list")(list_letters)
    group.command()(show)
    group.command()(dead_letters_replay.replay)
    app.add_typer(group, name="dead-letters")


def list_letters(
    topic: TopicOption = None,
    account: Annotated[str | None, typer.Option("--account", help="Only of this account.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="The most rows to show.")] = 20,
    everything: Annotated[bool, typer.Option("--all", help="All, however many.")] = False,
) -> None:
    """List dead letters, newest first."""
    wanted = DeadLetterFilter(topic=topic, account_id=account)
    table = Table("id", "refused", "topic", "partition", "offset", "account", "reason", "replayed", box=None)
    table.columns[0].no_wrap = True  # whole, to be copied into `show` and `replay`
    settings = load_settings()
    shown, is_cut = in_transaction(settings, lambda connection: _rows(connection, wanted, limit, everything))
    if not shown:
        typer.echo(_none(wanted, settings))
        return
    for cells in shown:
        table.add_row(*map(Text, cells))
    console = Console()
    if not console.is_terminal:
        console.width = WIDE
    console.print(table)
    if is_cut:
        Console(stderr=True).print(f"There are more than {limit}: see them with --limit or --all.")


def show(
    letter_id: Annotated[
        int, typer.Argument(min=1, max=2**63 - 1, metavar="ID", help="As `dead-letters list` shows it.")
    ],
) -> None:
    """Show a dead letter: its origin, the reason why it was refused, and all its contents."""

    async def find(connection: AsyncConnection) -> DeadLetter | None:
        return await dead_letter_listing.get(connection, letter_id)

    letter = in_transaction(load_settings(), find)
    if letter is None:
        raise HealthError(f"There is no dead letter {letter_id}", "Run: account-health dead-letters list")
    for text in lines(letter):
        typer.echo(text)


async def _rows(
    connection: AsyncConnection, wanted: DeadLetterFilter, limit: int, everything: bool
) -> tuple[list[list[str]], bool]:
    """The table's rows, and whether more follow."""
    rows: list[list[str]] = []
    before = None
    while page := await dead_letter_listing.page(connection, wanted, before=before, limit=PAGE):
        rows += [_cells(letter) for letter in page]
        before = page[-1].id
        if not everything and len(rows) > limit:
            return rows[:limit], True
    return rows, False


def _none(wanted: DeadLetterFilter, settings: Settings) -> str:
    names = settings.topics.values()
    if wanted.topic is not None and wanted.topic not in names:
        return f"There are no dead letters of a topic {wanted.topic}. The topics are {', '.join(names)}."
    return "There are no such dead letters." if wanted != DeadLetterFilter() else "There are no dead letters."


def _cells(letter: DeadLetter) -> list[str]:
    return [
        str(letter.id),
        _moment(letter.created_at),
        letter.topic,
        str(letter.partition),
        str(letter.offset),
        line(letter.account_id or "-"),
        line(letter.reason),
        _moment(letter.replayed_at),
    ]


def _moment(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}" if moment else "no"

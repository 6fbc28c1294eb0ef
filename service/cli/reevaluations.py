"""`account-health reevaluations`, and waiting until all accounts are re-evaluated."""

import asyncio
import time
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncEngine

from service.jobs.load.terminal import bar, say
from service.runtime.settings import Settings, load_settings
from service.storage.database.session import in_transaction, with_engine
from service.storage.policy import reevaluations

POLL_SECONDS = 0.2
STALL_SECONDS = 10.0
"""If no account was re-evaluated for this many seconds, no sweeper runs: one of its steps takes a second or less."""
WIDE = 200
NOBODY_WORKS = "No sweeper seems to run, and nothing moves without one. Start it: account-health sweep"
LEFT = "No longer waiting: the sweeper goes on. To see its progress: account-health reevaluations"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="reevaluations")(show)


def show(limit: Annotated[int, typer.Option(min=1, max=1000, help="The most rows to show.")] = 20) -> None:
    """Show the progress of re-evaluating all accounts after scorecards and rules changed, newest first."""
    table = Table("id", "because of", "accounts", "began", "finished", box=None)
    table.columns[0].no_wrap = True
    for row in in_transaction(load_settings(), lambda connection: reevaluations.newest(connection, limit)):
        accounts = f"{row.done:,} of {row.total:,}"
        table.add_row(
            str(row.id), f"{row.cause} {row.subject}", accounts, f"{row.started_at:%Y-%m-%d %H:%M}", _end(row)
        )
    console = Console()
    if not console.is_terminal:
        console.width = WIDE
    console.print(table)


def wait(settings: Settings, reevaluation_id: UUID) -> None:
    """Show a bar until all accounts are re-evaluated, by this re-evaluation or one that replaces it.

    Ctrl-C ends the waiting, not the work. Raises `HealthError` if Postgres is away.
    """
    try:
        last = with_engine(settings, lambda engine: _all_judged(engine, reevaluation_id))
    except KeyboardInterrupt:
        typer.echo(LEFT, err=True)
        raise typer.Exit(130) from None
    say(f"All accounts are scored by it: {last.total:,}.")


async def _all_judged(engine: AsyncEngine, reevaluation_id: UUID) -> Row[Any]:
    while True:
        last = await _until_finished(engine, reevaluation_id)
        successor = None if last.done == last.total else await _under_way(engine)
        if successor is None:
            return last
        say(f"A change of {successor.cause} {successor.subject} re-evaluates all accounts from the first on.")
        reevaluation_id = successor.id


async def _until_finished(engine: AsyncEngine, reevaluation_id: UUID) -> Row[Any]:
    row = await _get(engine, reevaluation_id)
    stall = _Stall()
    with bar("Re-evaluating accounts", row.total, row.done) as advance:
        while row.finished_at is None and row.done < row.total:
            await asyncio.sleep(POLL_SECONDS)
            before, row = row, await _get(engine, reevaluation_id)
            advance(row.done - before.done)
            stall.look(has_moved=row.done > before.done)
    return row


class _Stall:
    """Reports that no sweeper works when nothing has moved for long, once until something does."""

    def __init__(self) -> None:
        self._moved_at = time.monotonic()
        self._said = False

    def look(self, *, has_moved: bool) -> None:
        if has_moved:
            self._moved_at = time.monotonic()
            self._said = False
        elif not self._said and time.monotonic() - self._moved_at >= STALL_SECONDS:
            typer.echo(NOBODY_WORKS, err=True)
            self._said = True


async def _get(engine: AsyncEngine, reevaluation_id: UUID) -> Row[Any]:
    async with engine.begin() as connection:
        row = await reevaluations.get(connection, reevaluation_id)
    if row is None:
        raise LookupError(reevaluation_id)
    return row


async def _under_way(engine: AsyncEngine) -> Row[Any] | None:
    async with engine.begin() as connection:
        return await reevaluations.current(connection)


def _end(row: Row[Any]) -> str:
    if row.finished_at is None:
        return "under way"
    return f"{row.finished_at:%Y-%m-%d %H:%M}" if row.done == row.total else "replaced by a later one"

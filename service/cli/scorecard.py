"""`account-health scorecard …`: drafts in files, from their first check to being published."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from scoring.scorecards.diff import Difference, differences, in_words
from scoring.scorecards.document import ScorecardProblem
from scoring.scorecards.lint import warnings
from service.cli import scorecard_adapt, scorecard_preview, scorecard_published
from service.cli.reevaluations import wait
from service.cli.scorecard_file import File, print_warnings, read
from service.evaluation import publishing
from service.evaluation.scorecards import InForce, all_warnings, in_force
from service.runtime.settings import load_settings
from service.storage.database.session import in_transaction


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(help="Scorecards: the measures of the score, and their weights.", no_args_is_help=True)
    for command in (validate, diff, scorecard_adapt.adapt, scorecard_preview.preview, publish):
        group.command()(command)
    scorecard_published.register(group)
    app.add_typer(group, name="scorecard")


def validate(file: File) -> None:
    """Check a scorecard: name every field at fault, and warn of odd values. Needs no database."""
    document = read(file, load_settings().retention_days)
    odd = warnings(document)
    print_warnings(odd)
    verdict = f"can be published, with {len(odd)} warning{'s' * (len(odd) > 1)}" if odd else "is fine"
    typer.echo(f"{file}: scorecard {document.name} with {len(document.measures)} measures {verdict}.")


def diff(file: File) -> None:
    """Show the changes that publishing a scorecard would make to the newest version of its name."""
    settings = load_settings()
    document = read(file, settings.retention_days)

    async def work(connection: AsyncConnection) -> tuple[InForce | None, list[ScorecardProblem]]:
        return (await in_force(connection)).get(document.name), await all_warnings(connection, document)

    published, odd = in_transaction(settings, work)
    found = differences(published.document if published else None, document)
    typer.echo(_heading(document.name, published, bool(found)))
    for difference in found:
        typer.echo(_line(difference))
    print_warnings(odd)


def publish(
    file: File,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Don't wait until all accounts are scored by it.")] = False,
) -> None:
    """Publish a scorecard as the newest version of its name, and wait until every account is scored by it."""
    settings = load_settings()
    document = read(file, settings.retention_days)

    async def work(connection: AsyncConnection) -> tuple[int, UUID | None, list[ScorecardProblem]]:
        odd = await all_warnings(connection, document)
        return *await publishing.publish(connection, document, datetime.now(UTC)), odd

    version, begun, odd = in_transaction(settings, work)
    print_warnings(odd)
    typer.echo(f"{document.name} version {version} {'is published' if begun else 'has this content already'}.")
    if begun and not no_wait:
        wait(settings, begun)


def _heading(name: str, published: InForce | None, differs: bool) -> str:
    if published is None:
        return f"{name} is new: no scorecard of this name is published."
    if not differs:
        return f"{name} version {published.version} has this content already."
    return f"{name}, from version {published.version}:"


def _line(difference: Difference) -> str:
    """A line of a diff: additions, removals and changes, in colours on a terminal."""
    if difference.before is None:
        sign, colour = "+", typer.colors.GREEN
    elif difference.after is None:
        sign, colour = "-", typer.colors.RED
    else:
        sign, colour = "~", typer.colors.YELLOW
    return typer.style(f"{sign} {in_words(difference)}", fg=colour)

"""`account-health scorecard list|show|starter`: published scorecards, and those to start from."""

from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy.ext.asyncio import AsyncConnection

from scoring.scorecards.document import ScorecardDocument
from service.cli.scorecard_file import audience, to_yaml
from service.evaluation.scorecards import purpose, starter_names, starter_text
from service.runtime.errors import HealthError
from service.runtime.settings import load_settings
from service.storage.database.session import in_transaction
from service.storage.policy import scorecards

WIDE = 10_000
"""Columns without a terminal: one version a line, however long the names of its measures."""


def register(group: typer.Typer) -> None:
    """Add the commands to those of `scorecard`."""
    group.command(name="list")(list_versions)
    group.command()(show)
    group.command()(starter)


def list_versions() -> None:
    """List every published version; of each name, the newest is in force."""
    table = Table("name", "version", "published", "for whom", "calibrated", "measures", box=None)
    for row in in_transaction(load_settings(), scorecards.versions):
        document = _document(row)
        titles = ", ".join(measure.title for measure in document.measures)
        published = f"{row['published_at']:%Y-%m-%d %H:%M}"
        calibrated = str(document.calibration.calibrated_on) if document.calibration else "-"
        table.add_row(row["name"], str(row["version"]), published, audience(document.applies_to), calibrated, titles)
    console = Console(markup=False)  # words of the document may contain either
    if not console.is_terminal:
        console.width = WIDE
    console.print(table)


def show(
    name: str,
    version: Annotated[
        int | None, typer.Option(min=1, max=2**31 - 1, help="By default the newest, which is in force.")
    ] = None,
) -> None:
    """Print a published scorecard as YAML, to be changed and published again."""

    async def find(connection: AsyncConnection) -> dict[str, Any] | None:
        if version is not None:
            return await scorecards.get(connection, name, version)
        return next(iter(await scorecards.versions(connection, name)), None)

    row = in_transaction(load_settings(), find)
    if row is None:
        which = name if version is None else f"{name} version {version}"
        raise HealthError(f"There is no scorecard {which}", "Run: account-health scorecard list")
    typer.echo(f"# {row['name']} version {row['version']}, published {row['published_at']:%Y-%m-%d %H:%M %Z}")
    typer.echo(to_yaml(_document(row)), nl=False)


def starter(
    name: Annotated[str | None, typer.Argument(help="Without it, the starters there are.")] = None,
) -> None:
    """Print a scorecard that ships with the service, to start from: starter onboarding > onboarding.yaml."""
    names = starter_names()
    if name is None:
        for each in names:
            typer.echo(f"{each:<{max(map(len, names))}}  {purpose(each)}")
        return
    if name not in names:
        raise HealthError(f"There is no starter {name!r}", f"Give one of {', '.join(names)}")
    typer.echo(starter_text(name), nl=False)


def _document(row: dict[str, Any]) -> ScorecardDocument:
    return msgspec.convert(row["document"], ScorecardDocument)

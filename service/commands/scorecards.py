"""`account-health scorecard …`."""

from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from sqlalchemy.ext.asyncio import AsyncConnection

from scoring.documents import InvalidDocumentError, ScorecardDocument, parse
from service.commands.running import in_transaction
from service.errors import HealthError
from service.settings import load_settings
from service.storage import scorecards, scores

File = Annotated[Path, typer.Argument(help="A scorecard in YAML or JSON.", exists=True, dir_okay=False, readable=True)]


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(help="Scorecards: which measures make the score, and how.", no_args_is_help=True)
    for command in (validate, publish):
        group.command()(command)
    group.command(name="list")(list_versions)
    app.add_typer(group, name="scorecard")


def validate(file: File) -> None:
    """Check a scorecard; names every field at fault."""
    document = _read(file, load_settings().retention_days)
    typer.echo(f"{file}: scorecard {document.name} with {len(document.measures)} measures is fine.")


def publish(file: File) -> None:
    """Publish a scorecard as the newest version of its name; every account is judged by it within moments."""
    settings = load_settings()
    document = _read(file, settings.retention_days)

    async def work(connection: AsyncConnection) -> tuple[int, bool]:
        version, is_new = await scorecards.publish(connection, document)
        if is_new:
            await scores.make_all_due(connection)
        return version, is_new

    version, is_new = in_transaction(settings, work)
    typer.echo(f"{document.name} version {version} {'is published' if is_new else 'is this very document already'}.")


def list_versions() -> None:
    """List every published version."""
    for version in in_transaction(load_settings(), scorecards.versions):
        typer.echo(
            f"{version['name']} version {version['version']}, published {version['published_at']:%Y-%m-%d %H:%M}"
        )


def _read(file: Path, retention: int) -> ScorecardDocument:
    try:
        document: Any = yaml.safe_load(file.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise HealthError(f"{file} is neither YAML nor JSON: {error}") from None
    try:
        return parse(document, retention)
    except InvalidDocumentError as error:
        lines = "".join(f"\n  {problem.field}: {problem.message}" for problem in error.problems)
        raise HealthError(f"{file} can't be used:{lines}") from None

"""`account-health migrate`."""

from typing import Annotated

import structlog
import typer

from service.evaluation.bootstrap import prepare_database, with_database
from service.runtime.errors import HealthError
from service.runtime.settings import Settings, load_settings
from service.storage.database import migrate as schema
from service.storage.database.migrate import BASE, SchemaRevision

log = structlog.get_logger(__name__)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(migrate)


def migrate(
    to: Annotated[
        str, typer.Option(metavar="REVISION", help="Go to this revision instead, forwards or backwards.")
    ] = "",
    show: Annotated[bool, typer.Option("--show", help="Only show the revisions, and the database's own.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Take revisions back without asking.")] = False,
) -> None:
    """Bring the database to the newest schema, and publish the default scorecard if there is none.

    With --to an earlier revision the schema goes back, before the service's version does: data of later revisions is
    lost, which is announced first.
    """
    if show and to:
        raise HealthError("--show only shows, and --to changes the database", "Give one of them")
    settings = load_settings()
    if show:
        _show(settings)
    elif to:
        _go_to(settings, to, yes)
    else:
        later = prepare_database(settings)
        typer.echo(f"{_later_version(later)}. Nothing was changed." if later else "The database is up to date.")


def _show(settings: Settings) -> None:
    now = with_database(settings, schema.current)
    for step in schema.revisions():
        typer.echo(f"{'>' if step.revision == now else ' '} {step.revision}  {step.purpose}")
    if now == BASE:
        typer.echo("The database has no tables yet. Run: account-health migrate")
    elif not schema.is_known(now):
        typer.echo(f"{_later_version(now)}.")


def _later_version(revision: str) -> str:
    return f"The database has revision {revision}, of a later version; this version works on it"


def _go_to(settings: Settings, to: str, yes: bool) -> None:
    revisions = [BASE, *(step.revision for step in schema.revisions())]
    now = with_database(settings, schema.current)
    if to not in revisions:
        raise HealthError(f"There is no revision {to}", f"Take one of {', '.join(revisions)}")
    if not schema.is_known(now):
        raise HealthError(
            f"The database has revision {now}, which is of a later version than this one", "Use that version to go back"
        )
    if revisions.index(to) >= revisions.index(now):
        with_database(settings, lambda url: schema.upgrade(url, to))
    else:
        _refuse_while_running(settings)
        _confirm(schema.revisions()[revisions.index(to) : revisions.index(now)], yes)
        _refuse_while_running(settings)  # an answer takes its time
        with_database(settings, lambda url: schema.downgrade(url, to))
    typer.echo(f"The database has revision {to}.")


def _refuse_while_running(settings: Settings) -> None:
    if names := with_database(settings, schema.running_processes):
        raise HealthError(f"Processes are connected to the database: {', '.join(names)}", "Stop the service first")


def _confirm(taken_back: list[SchemaRevision], yes: bool) -> None:
    for step in reversed(taken_back):
        typer.echo(f"{step.revision} is taken back: {step.loss}", err=True)
    if not yes:
        typer.confirm("Is there a backup, and do you want to continue?", abort=True, err=True)

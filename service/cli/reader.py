"""`account-health reader …`: the roles that may read the analysts' views in Postgres."""

from typing import Annotated

import typer

from service.runtime.errors import HealthError
from service.runtime.settings import Settings, load_settings
from service.storage.access import analyst_role
from service.storage.access.analyst_role import CreatedRole
from service.storage.database.session import in_transaction

Name = Annotated[str, typer.Argument(metavar="[NAME]", help="The role's name in Postgres.")]
NAME = "health_reader"


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(
        help="A role in Postgres that may read the views of the schema analytics, and nothing else.",
        no_args_is_help=True,
    )
    group.command()(create)
    group.command()(drop)
    app.add_typer(group, name="reader")


def create(
    name: Name = NAME,
    new_password: Annotated[
        bool, typer.Option("--new-password", help="Generate a new password for an existing reader.")
    ] = False,
    print_sql: Annotated[
        bool, typer.Option("--print-sql", help="Print the SQL for an administrator, and run nothing.")
    ] = False,
) -> None:
    """Create a reader, or bring it up to date; running it again does no harm.

    Its password is HEALTH_READER_PASSWORD. Without that, a generated one is printed this once, and nothing else.
    """
    settings = load_settings()
    analyst_role.checked_name(name)
    if print_sql:
        for statement in in_transaction(settings, lambda connection: analyst_role.statements(connection, name)):
            typer.echo(f"{statement};")
        return
    given = _given(settings)
    if given and new_password:
        raise HealthError(
            "HEALTH_READER_PASSWORD sets the password, so --new-password can't generate one",
            "Unset the variable, or leave --new-password out",
        )
    made = in_transaction(settings, lambda connection: analyst_role.create(connection, name, given, renew=new_password))
    if made.password:
        typer.echo(made.password)
    for line in _report_lines(name, made, is_given=bool(given), wants_password=bool(given or new_password)):
        typer.echo(line, err=True)


def drop(name: Name = NAME) -> None:
    """Drop a reader. Open sessions continue until they end."""
    analyst_role.checked_name(name)
    in_transaction(load_settings(), lambda connection: analyst_role.drop(connection, name))
    typer.echo("The reader is dropped.")


def _given(settings: Settings) -> str | None:
    password = settings.reader_password and settings.reader_password.get_secret_value()
    return analyst_role.checked_password(password) if password else None


def _report_lines(name: str, made: CreatedRole, *, is_given: bool, wants_password: bool) -> list[str]:
    password = ", and its password is set" if is_given and made.is_altered else ""
    lines = [f"The role {name} {'is made' if made.is_new else 'is up to date'}{password}."]
    if not made.is_altered:
        what = "its password and settings" if wants_password else "its settings"
        lines.append(f"It was made by others, who alone may alter it: {what} are as they were.")
    if made.left:
        lines.append(f"To protect it from accidents, have them run:\n{analyst_role.as_script(made.left)}".rstrip())
    if made.also_reads:
        lines.append(
            f"WARNING: it may also read {', '.join(made.also_reads)}. Revoke that from {name} or from PUBLIC,"
            " unless you mean it."
        )
    return lines

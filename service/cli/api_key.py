"""`account-health api-key …`: the keys to the HTTP API."""

from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy.ext.asyncio import AsyncConnection

from service.runtime import text
from service.runtime.api_key import SCOPES, Scope, new_key
from service.runtime.errors import HealthError
from service.runtime.ids import new_id
from service.runtime.settings import load_settings
from service.storage.access import api_keys
from service.storage.access.api_keys import StoredApiKey
from service.storage.database.session import in_transaction

PAGE = 1000
WIDE = 200

ScopeOption = Annotated[list[str], typer.Option("--scope", help=f"{', '.join(SCOPES)}; each includes those before it.")]


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(help="Keys for the HTTP API.", no_args_is_help=True)
    group.command()(create)
    group.command(name="list")(list_keys)
    group.command()(revoke)
    app.add_typer(group, name="api-key")


def create(
    name: str,
    scope: ScopeOption,
    expires_in: Annotated[
        int | None,
        typer.Option(min=1, max=36_500, metavar="DAYS", help="Days until the key expires; by default never."),
    ] = None,
) -> None:
    """Create a key and print nothing else. Only its digest is stored, so it is shown this once."""
    key = new_key()
    now = datetime.now(UTC)
    expires_at = None if expires_in is None else now + timedelta(days=expires_in)
    scopes = _known(scope)

    async def insert(connection: AsyncConnection) -> StoredApiKey:
        return await api_keys.create(
            connection,
            new_id(),
            name=_usable(name),
            digest=key.digest,
            hint=key.hint,
            scopes=scopes,
            now=now,
            expires_at=expires_at,
        )

    in_transaction(load_settings(), insert)
    typer.echo(key.text)


def list_keys() -> None:
    """List the keys: the beginning of each, its scopes, and its last use."""
    table = Table("id", "name", "key", "scopes", "created", "expires", "last used", box=None)
    table.columns[0].no_wrap = True  # whole, to be copied into `revoke`
    for key in in_transaction(load_settings(), _all_keys):
        days = [_day(moment) for moment in (key.created_at, key.expires_at, key.last_used_at)]
        table.add_row(str(key.id), key.name, f"{key.hint}…", " ".join(key.scopes), *days)
    console = Console()
    if not console.is_terminal:
        console.width = WIDE
    console.print(table)


def revoke(key_id: Annotated[UUID, typer.Argument(metavar="ID", help="As `api-key list` shows it.")]) -> None:
    """Revoke a key; requests that use it are refused within moments."""

    async def remove(connection: AsyncConnection) -> bool:
        return await api_keys.remove(connection, key_id)

    if not in_transaction(load_settings(), remove):
        raise HealthError(f"There is no API key {key_id}", "Run: account-health api-key list")
    typer.echo("The key is revoked.")


async def _all_keys(connection: AsyncConnection) -> list[StoredApiKey]:
    keys: list[StoredApiKey] = []
    while page := await api_keys.page(connection, after=keys[-1].id if keys else None, limit=PAGE):
        keys += page
    return keys


def _known(wanted: list[str]) -> list[Scope]:
    scopes = [scope for scope in SCOPES if scope in wanted]
    if unknown := set(wanted).difference(scopes):
        raise HealthError(f"--scope {min(unknown)!r} is not known", f"Give {', '.join(SCOPES)}")
    return scopes


def _usable(name: str) -> str:
    if not 0 < len(name) <= 200:
        raise HealthError(f"NAME can't be used: it is {len(name):,} characters long", "Give 1 to 200")
    if (problem := text.unprintable_problem(name)) is not None:
        raise HealthError(f"NAME can't be used: it {problem}", "Remove the character")
    return name


def _day(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d}" if moment else "never"

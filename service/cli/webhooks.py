"""`account-health webhooks …`: the state of endpoints, and sending failed deliveries again."""

from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import urlsplit
from uuid import UUID

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.delivery.transport.url_rules import KAFKA_SCHEME
from service.runtime.errors import HealthError
from service.runtime.settings import load_settings
from service.storage.database.session import in_transaction
from service.storage.webhooks import endpoints, resend
from service.storage.webhooks.endpoints import Endpoint
from service.storage.webhooks.resend import FailedDeliveries

PAGE = 1000
WIDE = 200


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(help="Webhook endpoints, and sending failed deliveries again.", no_args_is_help=True)
    group.command(name="list")(list_endpoints)
    group.command()(recover)
    app.add_typer(group, name="webhooks")


def list_endpoints() -> None:
    """List the endpoints and their state. Only a URL's host is shown, as the rest may hold a token."""
    table = Table("id", "host", "target", "state", "description", box=None)
    table.columns[0].no_wrap = True  # whole, to be copied into `recover`
    for endpoint in in_transaction(load_settings(), _all_endpoints):
        cells = (_destination(endpoint), endpoint.target, _state(endpoint), endpoint.description)
        table.add_row(str(endpoint.id), *map(Text, cells))
    console = Console()
    if not console.is_terminal:
        console.width = WIDE
    console.print(table)


def recover(
    endpoint_id: Annotated[UUID, typer.Argument(metavar="ENDPOINT", help="As `webhooks list` shows it.")],
    since: Annotated[datetime, typer.Option(help="Those written at this time (UTC) or later.")],
    until: Annotated[datetime | None, typer.Option(help="Of these, only those written before this time (UTC).")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
) -> None:
    """Send all failed deliveries to an endpoint again, the oldest first, once the receiver works again.

    They go out at half the endpoint's rate limit, or 10 a second if it has none, each with all its retries.
    """
    settings = load_settings()
    wanted = _wanted(endpoint_id, since, until)

    async def count(connection: AsyncConnection) -> int:
        if await endpoints.get(connection, endpoint_id) is None:
            raise HealthError(f"There is no webhook endpoint {endpoint_id}", "Run: account-health webhooks list")
        return await resend.count(connection, wanted)

    async def work(connection: AsyncConnection) -> int:
        return await resend.recover(connection, wanted, datetime.now(UTC))

    found = in_transaction(settings, count)
    if not found:
        typer.echo("There is nothing to recover.")
        return
    if not yes:
        typer.confirm(f"Send {_count(found)} again?", abort=True)
    recovered = in_transaction(settings, work)
    typer.echo(f"{_count(recovered)} will be sent again.")


def _wanted(endpoint_id: UUID, since: datetime, until: datetime | None) -> FailedDeliveries:
    since = since.replace(tzinfo=UTC)
    until = until and until.replace(tzinfo=UTC)
    if since > datetime.now(UTC):
        raise HealthError("--since is in the future", "Give a time (UTC) at which deliveries failed already")
    if until is not None and since >= until:
        raise HealthError("--since isn't before --until", "Give the earlier time as --since")
    return FailedDeliveries(endpoint_id=endpoint_id, since=since, until=until)


async def _all_endpoints(connection: AsyncConnection) -> list[Endpoint]:
    found: list[Endpoint] = []
    while page := await endpoints.page(connection, after=found[-1].id if found else None, limit=PAGE):
        found += page
    return found


def _destination(endpoint: Endpoint) -> str:
    """`kafka:TOPIC` holds no secret."""
    return endpoint.url if endpoint.url.startswith(KAFKA_SCHEME) else urlsplit(endpoint.url).hostname or ""


def _state(endpoint: Endpoint) -> str:
    since = f" since {endpoint.failing_since:%Y-%m-%d %H:%M}" if endpoint.failing_since else ""
    if endpoint.enabled:
        return f"failing{since}" if since else "ok"
    match endpoint.disabled_reason:
        case "failing":
            return f"disabled: failing{since}"
        case "gone":
            return "disabled: gone"
        case None:
            return "disabled"


def _count(number: int) -> str:
    return f"{number:,} deliver{'y' if number == 1 else 'ies'}"

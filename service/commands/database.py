"""`account-health migrate`."""

import typer
from sqlalchemy.exc import DBAPIError

from service.commands.running import in_transaction
from service.policy import publish_default
from service.settings import Settings, load_settings
from service.storage.explaining import explain
from service.storage.migrate import upgrade


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(migrate)


def migrate() -> None:
    """Bring the database to the newest schema, and publish the default scorecard if there is none."""
    prepare_database(load_settings())
    typer.echo("The database is up to date.")


def prepare_database(settings: Settings) -> None:
    """Migrate and publish the default scorecard; does nothing where both are done. Raises `HealthError`."""
    try:
        upgrade(settings.database_url.get_secret_value())
    except (DBAPIError, OSError) as error:
        raise explain(error) from error
    in_transaction(settings, lambda connection: publish_default(connection, settings.retention_days))

"""`account-health secrets …`: changing the key that seals secrets at rest."""

import typer

from service.runtime.settings import load_settings
from service.runtime.vault import Vault
from service.storage.database.session import in_transaction
from service.storage.webhooks.reseal import reseal


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(help="Secrets at rest, and the key that seals them.", no_args_is_help=True)
    group.callback()(lambda: None)
    group.command()(rotate)
    app.add_typer(group, name="secrets")


def rotate() -> None:
    """Seal all secrets with the first key of HEALTH_ENCRYPTION_KEY; the others are no longer needed afterwards.

    Every process must know both keys by then, the new one first: deploy/backup.md.
    """
    settings = load_settings()
    vault = Vault(settings.encryption_key)
    done = in_transaction(settings, lambda connection: reseal(connection, vault))
    typer.echo(f"{done.changed:,} of {done.total:,} secrets were resealed; all are sealed with the first key.")

"""The `account-health` command: builds the command tree, and turns failures into one line and an exit status."""

import sys

import typer

from service.commands import database, demo, keys, load, processes, progress, scorecards, topics
from service.errors import HealthError

app = typer.Typer(
    name="account-health",
    help="A live health score for every customer account. Settings are environment variables HEALTH_… or a .env file.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
processes.register(app)
database.register(app)
topics.register(app)
load.register(app)
scorecards.register(app)
keys.register(app)
progress.register(app)
demo.register(app)


def main() -> None:
    """Run the command. A `HealthError` becomes one line on standard error and exit status 1."""
    try:
        app()
    except HealthError as error:
        print(f"account-health: {error}", file=sys.stderr)  # noqa: T201 - the command's own voice
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)

"""The command tree of `account-health`."""

import typer

from service.commands import (
    asyncapi,
    database,
    dead_letters,
    demo,
    keys,
    load,
    processes,
    progress,
    reevaluations,
    scorecards,
    sources,
    topics,
    up,
    webhooks,
)

app = typer.Typer(
    name="account-health",
    help="A live health score for every customer account. Settings are environment variables HEALTH_… or a .env file.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for module in (
    up,
    processes,
    database,
    topics,
    asyncapi,
    load,
    scorecards,
    reevaluations,
    keys,
    progress,
    dead_letters,
    sources,
    webhooks,
    demo,
):
    module.register(app)

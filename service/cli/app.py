"""The command tree of `account-health`."""

from typing import Any

import typer
from typer.core import TyperGroup

from service.cli import (
    api_key,
    asyncapi,
    dead_letters,
    demo,
    export,
    load,
    migrate,
    processes,
    progress,
    reader,
    reevaluations,
    scorecard,
    secrets,
    sources,
    topics,
    up,
    webhooks,
)
from service.cli.arguments import require_text
from service.runtime.settings import VALUE_ERROR


class _Plain(TyperGroup):
    """Refuses words that no command can use, and reports invalid options without pydantic's prefix."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        require_text(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            error.message = error.message.removeprefix(VALUE_ERROR)
            raise


app = typer.Typer(
    cls=_Plain,
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
    migrate,
    topics,
    asyncapi,
    load,
    export,
    scorecard,
    reevaluations,
    api_key,
    reader,
    progress,
    dead_letters,
    sources,
    webhooks,
    secrets,
    demo,
):
    module.register(app)

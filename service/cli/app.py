"""The command tree of `account-health`."""

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import Any

import typer
import typer.main
from typer.core import TyperGroup

from service.cli.arguments import require_text
from service.runtime.settings import VALUE_ERROR

MODULES: Mapping[str, str] = {
    "up": "up",
    "api": "processes",
    "consume": "processes",
    "sweep": "processes",
    "deliver": "processes",
    "migrate": "migrate",
    "asyncapi": "asyncapi",
    "load": "load",
    "backtest": "backtest",
    "calibrate": "calibrate",
    "export": "export",
    "reevaluations": "reevaluations",
    "demo": "demo",
    "topics": "topics",
    "scorecard": "scorecard",
    "api-key": "api_key",
    "reader": "reader",
    "progress": "progress",
    "dead-letters": "dead_letters",
    "sources": "sources",
    "webhooks": "webhooks",
    "secrets": "secrets",
}
"""The module of each command, in the order of the help."""


class Commands(Mapping[str, Any]):
    """The commands by name, each imported when it is asked for: importing all of them takes a second and a half."""

    def __getitem__(self, name: str) -> Any:
        """Raises KeyError if there is no such command."""
        return _commands_of(MODULES[name])[name]

    def __iter__(self) -> Iterator[str]:
        """The names."""
        return iter(MODULES)

    def __len__(self) -> int:
        """The number of commands."""
        return len(MODULES)


@cache
def _commands_of(module: str) -> Mapping[str, Any]:
    part = typer.Typer(rich_markup_mode=None)
    import_module(f"service.cli.{module}").register(part)
    return typer.main.get_group(part).commands


class _Plain(TyperGroup):
    """Refuses words that no command can use, and reports invalid options without pydantic's prefix."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands = Commands()  # type: ignore[assignment] # typer only reads them once they are all there

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


@app.callback()
def _of_all() -> None:
    pass

"""What the service really understands: its settings and its commands, for tests of what names them elsewhere."""

from collections.abc import Sequence
from typing import Any

import typer.main

from service.cli.app import app
from service.runtime.settings import PREFIX, Settings

SETTINGS = frozenset(PREFIX + name.upper() for name in Settings.model_fields)
"""The variables that are read."""


def is_command(words: Sequence[str]) -> bool:
    """Whether `account-health WORDS` runs something: a command, not a group of commands, and no option."""
    found: Any = typer.main.get_command(app)
    for word in words:
        found = getattr(found, "commands", {}).get(word)
    return found is not None and not hasattr(found, "commands")

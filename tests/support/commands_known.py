"""The service's real settings and commands, for tests of texts that name them."""

from collections.abc import Sequence
from typing import Any

import typer.main

from service.cli.app import app
from service.runtime.settings import PREFIX, Settings

SETTINGS = frozenset(PREFIX + name.upper() for name in Settings.model_fields)
"""The variables that are read."""


def is_command(words: Sequence[str]) -> bool:
    """True if `account-health WORDS` runs something: a command, not a group of commands, and no option."""
    found: Any = typer.main.get_command(app)
    for word in words:
        found = getattr(found, "commands", {}).get(word)
    return found is not None and not hasattr(found, "commands")

"""The demo's own log: the terminal is for the viewer."""

import logging
from pathlib import Path

from service.observability.logs import configure_logs
from service.runtime.settings import Settings


def log_to(path: Path, settings: Settings) -> None:
    """Append this process's log lines to a file."""
    configure_logs(settings, "demo")
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(path.open("a"))

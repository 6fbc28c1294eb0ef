"""`account-health load`."""

import logging
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from msgspec.structs import replace

from service.cli.log_options import (
    Columns,
    Constants,
    LogFiles,
    SkipInvalid,
    Timezone,
    Topic,
    until_stopped,
)
from service.runtime.settings import load_settings

STOPPING = "Stopping once Kafka has confirmed the messages on their way; a second signal stops at once."


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="load")(load_command)


def load_command(
    files: LogFiles,
    topic: Topic = None,
    column: Columns = None,
    constant: Constants = None,
    timezone: Timezone = None,
    shift_to_now: Annotated[
        bool, typer.Option("--shift-to-now", help="Shift all times by whole days, so that the newest is today's.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check every row and show the first; send nothing.")
    ] = False,
    skip_invalid: SkipInvalid = False,
    again: Annotated[
        bool, typer.Option("--again", help="Send a log that was loaded before from its beginning.")
    ] = False,
    state_dir: Annotated[
        Path | None,
        typer.Option(help="The folder for the progress of loads. [default: ~/.local/state/account-health/loads]"),
    ] = None,
) -> None:
    """Load history: publish event logs to Kafka, marked as backfill.

    A load that was stopped continues where it was when the same command is run again.
    """
    # Not at the top: no other command needs these.
    from service.jobs.load.checkpoint import default_folder
    from service.jobs.load.files import log_request
    from service.jobs.load.load import load, rehearse

    settings = load_settings()
    log = log_request(settings, state_dir or default_folder(), files, topic, column or [], constant or [], timezone)
    order = replace(log, shift_to_now=shift_to_now, skip_invalid=skip_invalid, again=again)
    # The errors here say what matters of aiokafka's log lines.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    work = rehearse if dry_run else load
    uvloop.run(until_stopped(lambda stop: work(order, settings, stop), STOPPING))

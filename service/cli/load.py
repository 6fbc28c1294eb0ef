"""`account-health load`."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
import uvloop
from msgspec.structs import replace

from service.cli.log_options import (
    Columns,
    Constants,
    LogFiles,
    Result,
    SkipInvalid,
    Timezone,
    Topic,
    until_stopped,
)
from service.runtime.errors import HealthError, require_files_extra
from service.runtime.settings import Settings, load_settings

if TYPE_CHECKING:
    from service.jobs.load.files import LoadRequest
    from service.jobs.load.load import Loaded

STOPPING = "Stopping once what is on its way has arrived; a second signal stops at once."


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
    history: Annotated[
        bool | None,
        typer.Option(
            "--history/--no-history",
            help="Replay the days before accounts were live into their history; with --history also where that was done"
            " before. [default: for accounts without replayed days]",
            show_default=False,
        ),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Send a log that was loaded before from its beginning.")
    ] = False,
    state_dir: Annotated[
        Path | None,
        typer.Option(help="The folder for the progress of loads. [default: ~/.local/state/account-health/loads]"),
    ] = None,
) -> None:
    """Load history: publish event logs to Kafka, marked as backfill, and write the scores of the past days.

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
    if dry_run:
        _run(lambda stop: rehearse(order, settings, stop))
        return
    loaded = _run(lambda stop: load(order, settings, stop))
    if history is False:
        return
    try:
        _write_history(order, loaded, settings, rewrite=history is True)
    except HealthError as error:
        if history:
            raise
        # Not an error: the load itself is done, and may be all that this machine can do.
        typer.echo(f"The scores of the past days aren't written. {error}")


def _write_history(order: "LoadRequest", loaded: "Loaded", settings: Settings, *, rewrite: bool) -> None:
    require_files_extra("Replaying the past of accounts")
    from service.jobs.history.load_history import plan_history, replay_plan, write_plan
    from service.jobs.history.messages import result

    started = time.monotonic()
    plan = _run(lambda stop: plan_history(order, loaded, settings, stop, rewrite=rewrite))
    written = None
    if plan.wanted:
        files = replay_plan(plan)
        written = _run(lambda stop: write_plan(plan, files, settings, stop))
    for line in result(written, plan.replayed_before, time.monotonic() - started):
        typer.echo(line)


def _run(work: Callable[[asyncio.Event], Awaitable[Result]]) -> Result:
    return uvloop.run(until_stopped(work, STOPPING))

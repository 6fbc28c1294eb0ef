"""`account-health load`."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from service.jobs.load.terminal import StoppedError, StopSignal
from service.runtime.settings import load_settings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="load")(load_command)


def load_command(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="CloudEvents, one a line (.ndjson, .jsonl, .json) or an array (.json), also .gz; any table (.parquet);"
            " or a folder of such files.",
            metavar="FILE",
            exists=True,
            readable=True,
        ),
    ],
    topic: Annotated[
        str | None, typer.Option(help="The topic of the events; by default it follows from each event's type.")
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            help="FIELD=COLUMN: the column for a field: subject, time, id, source, or a field of data. Repeatable.",
            metavar="OURS=THEIRS",
        ),
    ] = None,
    constant: Annotated[
        list[str] | None,
        typer.Option(help="FIELD=VALUE: a field that is the same in all rows. Repeatable.", metavar="FIELD=VALUE"),
    ] = None,
    timezone: Annotated[
        str | None,
        typer.Option(
            help="The time zone of times without one, for example Europe/Berlin. [default: UTC in tables]",
            metavar="ZONE",
        ),
    ] = None,
    shift_to_now: Annotated[
        bool, typer.Option("--shift-to-now", help="Shift all times by whole days, so that the newest is today's.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check every row and show the first; send nothing.")
    ] = False,
    skip_invalid: Annotated[
        bool, typer.Option("--skip-invalid", help="Leave out rows that can't be events, instead of sending nothing.")
    ] = False,
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
    from service.jobs.load.files import LoadRequest, mapping_of, part_files, signal_of_topic
    from service.jobs.load.load import load, rehearse
    from service.jobs.load.times import zone_of

    settings = load_settings()
    signal = signal_of_topic(topic, settings)
    zone_of(timezone)
    parts = part_files(files)
    order = LoadRequest(
        files=parts,
        signal=signal,
        mapping=mapping_of(parts, signal, column or [], constant or [], timezone),
        state_dir=state_dir or default_folder(),
        timezone=timezone,
        shift_to_now=shift_to_now,
        skip_invalid=skip_invalid,
        again=again,
    )
    # The errors here say what matters of aiokafka's log lines.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    work = rehearse if dry_run else load
    uvloop.run(_until_stopped(lambda stop: work(order, settings, stop)))


async def _until_stopped(work: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    stop = StopSignal()
    try:
        await work(stop)
    except StoppedError as stopped:
        typer.echo(f"account-health: {stopped}", err=True)
        raise typer.Exit(128 + stop.signal) from None

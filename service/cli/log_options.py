"""Options of commands that read event logs, and the end of such a command on a signal."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from service.jobs.load.terminal import StoppedError, StopSignal
from service.runtime.settings import Settings

if TYPE_CHECKING:
    from service.jobs.load.files import LoadRequest

Result = TypeVar("Result")

LogFiles = Annotated[
    list[Path],
    typer.Argument(
        help="CloudEvents, one a line (.ndjson, .jsonl, .json) or an array (.json), also .gz; any table (.parquet);"
        " or a folder of such files.",
        metavar="FILE",
        exists=True,
        readable=True,
    ),
]
Topic = Annotated[
    str | None, typer.Option(help="The topic of the events; by default it follows from each event's type.")
]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        help="FIELD=COLUMN: the column for a field: subject, time, id, source, or a field of data. Repeatable.",
        metavar="OURS=THEIRS",
    ),
]
Constants = Annotated[
    list[str] | None,
    typer.Option(
        "--constant", help="FIELD=VALUE: a field that is the same in all rows. Repeatable.", metavar="FIELD=VALUE"
    ),
]
Timezone = Annotated[
    str | None,
    typer.Option(
        help="The time zone of times without one, for example Europe/Berlin. [default: UTC in tables]",
        metavar="ZONE",
    ),
]
SkipInvalid = Annotated[
    bool, typer.Option("--skip-invalid", help="Leave out rows that can't be events, instead of doing nothing.")
]


def log_request(
    settings: Settings,
    state_dir: Path,
    files: list[Path],
    topic: str | None,
    columns: list[str] | None,
    constants: list[str] | None,
    timezone: str | None,
) -> "LoadRequest":
    """The log that the options name. Raises `HealthError` if they contradict each other or the files."""
    from service.jobs.load.files import LoadRequest, mapping_of, part_files, signal_of_topic
    from service.jobs.load.times import zone_of

    signal = signal_of_topic(topic, settings)
    zone_of(timezone)
    parts = part_files(files)
    mapping = mapping_of(parts, signal, columns or [], constants or [], timezone)
    return LoadRequest(files=parts, signal=signal, mapping=mapping, state_dir=state_dir, timezone=timezone)


async def until_stopped(work: Callable[[asyncio.Event], Awaitable[Result]], notice: str) -> Result:
    """Run `work` with an event that the first SIGINT or SIGTERM sets, printing `notice`; a second one ends at once."""
    stop = StopSignal(notice)
    try:
        return await work(stop)
    except StoppedError as stopped:
        typer.echo(f"account-health: {stopped}", err=True)
        raise typer.Exit(128 + stop.signal) from None

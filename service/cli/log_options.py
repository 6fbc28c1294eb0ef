"""Options of commands that read event logs, and the end of such a command on a signal."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
import uvloop
from msgspec.structs import replace

from service.jobs.load.terminal import StoppedError, StopSignal
from service.runtime.errors import HealthError
from service.runtime.settings import Settings

if TYPE_CHECKING:
    from service.jobs.backtest.partitioned_log import PartitionedLog

Result = TypeVar("Result")
STOPPING = "Stopping; a second signal stops at once."

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
LogFilesOrTopics = Annotated[
    list[Path] | None,
    typer.Argument(
        help="The log, as `load` takes it; leave it out with --topics.",
        metavar="FILE",
        exists=True,
        readable=True,
        show_default=False,
    ),
]
Topics = Annotated[
    bool,
    typer.Option("--topics", help="Read the log from this service's topics in Kafka, as far back as they go."),
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


def read_log(
    settings: Settings,
    work_dir: Path | None,
    files: list[Path] | None,
    topics: bool,
    topic: str | None,
    columns: list[str] | None,
    constants: list[str] | None,
    timezone: str | None,
    skip_invalid: bool,
) -> "Callable[[], PartitionedLog]":
    """Check the options that name a log; the function that is returned reads it, files or topics, by account.

    It stops on a signal. Both raise `HealthError`.
    """
    from service.jobs.backtest.event_log import default_folder, partition_log
    from service.jobs.backtest.topic_log import partition_topics
    from service.jobs.load.files import log_request

    folder = work_dir or default_folder()
    if topics:
        if files or topic or columns or constants or timezone:
            raise HealthError("--topics names the log already", "Leave FILE and its options out, or leave out --topics")
        return lambda: uvloop.run(until_stopped(lambda stop: partition_topics(settings, folder, stop), STOPPING))
    if not files:
        raise HealthError("There is no log", "Give FILE, the log as `load` takes it, or --topics")
    request = log_request(settings, folder, files, topic, columns or [], constants or [], timezone)
    order = replace(request, skip_invalid=skip_invalid)
    return lambda: uvloop.run(
        until_stopped(lambda stop: partition_log(order, settings.max_record_bytes, stop), STOPPING)
    )


async def until_stopped(work: Callable[[asyncio.Event], Awaitable[Result]], notice: str) -> Result:
    """Run `work` with an event that the first SIGINT or SIGTERM sets, printing `notice`; a second one ends at once."""
    stop = StopSignal(notice)
    try:
        return await work(stop)
    except StoppedError as stopped:
        typer.echo(f"account-health: {stopped}", err=True)
        raise typer.Exit(128 + stop.signal) from None

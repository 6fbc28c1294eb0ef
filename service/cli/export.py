"""`account-health export`."""

import asyncio
import signal
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from sqlalchemy.ext.asyncio import AsyncEngine

from service.runtime.errors import HealthError, require_files_extra
from service.runtime.settings import load_settings
from service.storage.database.session import with_engine

if TYPE_CHECKING:
    from service.jobs.export.export import ExportRequest
    from service.jobs.export.parquet_file import ParquetFile

USUAL_DAYS = 90
DAY = "%Y-%m-%d"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="export")(export_command)


def export_command(
    datasets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="DATASET",
            help="health: accounts as of now; daily: their scores day by day; measures: the parts of these scores; "
            "alerts. By default health.",
            show_default=False,
        ),
    ] = None,
    first: Annotated[
        datetime | None,
        typer.Option(
            "--from",
            formats=[DAY],
            metavar="DAY",
            help="First UTC day of daily and alerts. [default: 89 days before --to]",
        ),
    ] = None,
    last: Annotated[
        datetime | None, typer.Option("--to", formats=[DAY], metavar="DAY", help="Last UTC day. [default: today]")
    ] = None,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="A folder, created if necessary; for one dataset, a file ending with .parquet too.",
        ),
    ] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Replace existing files.")] = False,
) -> None:
    """Export the analysts' views, which deploy/analytics.md describes, to Parquet.

    Writes DATASET.parquet for each, all as of one moment. Files appear whole or not at all.
    """
    # Not at the top: Arrow takes half a second to import, and the base install doesn't have it.
    require_files_extra("Writing Parquet")
    from service.jobs.export.export import DATASETS, ExportRequest

    wanted = list(dict.fromkeys(datasets or ["health"]))
    if unknown := [name for name in wanted if name not in DATASETS]:
        raise HealthError(f"DATASET {unknown[0]!r} is not known", f"Give {', '.join(DATASETS)}")
    if (first or last) and not any(DATASETS[name].days for name in wanted):
        raise HealthError("--from and --to are for daily and alerts", "Leave them out, or name one of these")
    order = ExportRequest(files=_files(wanted, output, force=force), **_days(first, last))
    for file in with_engine(load_settings(), lambda engine: _until_stopped(engine, order)):
        typer.echo(f"{file.path}: {file.rows:,} rows, {_size(file.path.stat().st_size)}")


def _size(number: int) -> str:
    return f"{number / 1e6:,.1f} MB" if number >= 1e6 else f"{number / 1e3:,.1f} kB"


def _files(wanted: Sequence[str], output: Path, *, force: bool) -> dict[str, Path]:
    if output.suffix == ".parquet" and not output.is_dir():
        if len(wanted) > 1:
            raise HealthError(f"--output {output} is one file, for {len(wanted)} datasets", "Give a folder")
        files = {wanted[0]: output}
    else:
        files = {name: output / f"{name}.parquet" for name in wanted}
    for path in files.values():
        _check_folder(path.parent, output)
        if path.is_dir():
            raise HealthError(f"{path} is a folder", "Give another --output")
        if path.exists() and not force:
            raise HealthError(f"{path} exists already", "Add --force to replace it, or give another --output")
    return files


def _check_folder(folder: Path, output: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise HealthError(f"--output {output}: {folder} is a file", "Give another")
    if not folder.parent.is_dir():
        raise HealthError(f"--output {output}: there is no folder {folder.parent}", "Create it, or give another")


def _days(first: datetime | None, last: datetime | None) -> dict[str, date]:
    end = last.date() if last else datetime.now(UTC).date()
    usual = min(USUAL_DAYS - 1, (end - date.min).days)  # no calendar goes further back
    begin = first.date() if first else end - timedelta(days=usual)
    if begin > end:
        raise HealthError(f"--from {begin} is after --to {end}", "Give days in order")
    return {"first": begin, "last": end}


async def _until_stopped(engine: AsyncEngine, order: "ExportRequest") -> "list[ParquetFile]":
    from service.jobs.export.export import export

    work = asyncio.ensure_future(export(engine, order))
    heard: list[signal.Signals] = []
    loop = asyncio.get_running_loop()

    def stop(number: signal.Signals) -> None:
        heard.append(number)
        work.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    try:
        return await work
    except asyncio.CancelledError:
        typer.echo("account-health: stopped; nothing was written", err=True)
        raise typer.Exit(128 + heard[0]) from None

"""Options of commands that replay a log and report on it, and what they do alike."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, TypeVar

import msgspec
import typer
from rich.console import Console

from service.runtime.errors import HealthError
from service.runtime.settings import Settings

if TYPE_CHECKING:
    from datetime import date

    from sqlalchemy.ext.asyncio import AsyncConnection

    from scoring.backtest.outcomes import Outcome
    from scoring.rules.policy import Policy
    from service.jobs.backtest.partitioned_log import PartitionedLog
    from service.jobs.backtest.run import Engine

WIDE = 160
"""Columns where there is no terminal to ask."""
Report = TypeVar("Report")


def file_option(help_text: str, name: str | None = None) -> Any:
    """An option that names a file to be read."""
    return typer.Option(*[name] if name else [], help=help_text, exists=True, dir_okay=False, readable=True)


OutcomeFile = Annotated[
    Path | None,
    file_option(
        "CSV or Parquet (.parquet) with account_id, date and churned (true or false): renewals and churns."
        " By default renews_on and churned_on of the log's account events."
    ),
]
LeadDays = Annotated[
    int, typer.Option(min=1, max=365, help="The number of days between looking at an account and its outcome.")
]
HorizonDays = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=730,
        help="Look at every account once in so many days: does it leave within them?"
        " [default: look before each renewal]",
        show_default=False,
    ),
]
Processes = Annotated[
    int, typer.Option(min=0, max=256, help="The number of processes; 0 stands for one per processor.")
]
EngineName = Annotated[
    Literal["local", "spark"], typer.Option(help="Processes of this machine, or Spark (the extra spark).")
]
Master = Annotated[
    str | None, typer.Option(help="The address of Spark. [default: local[*], this machine]", metavar="URL")
]
WorkDir = Annotated[
    Path | None,
    typer.Option(help="The folder for what can be used again. [default: ~/.cache/account-health/backtests]"),
]
JsonReport = Annotated[Path | None, typer.Option("--json", help="Write the report to this file too, as JSON.")]
HtmlReport = Annotated[
    Path | None, typer.Option("--html", help="Write the report to this file too, as a page with charts.")
]


def engine_of(name: Literal["local", "spark"], processes: int, master: str | None) -> "Engine":
    """The engine that the options name. Raises `HealthError` if they contradict each other, or it isn't installed."""
    from service.jobs.backtest.run import engine_named

    if master is not None and name != "spark":
        raise HealthError("--master is for Spark", "Add --engine spark, or leave it out")
    return engine_named(name, processes=processes, master=master)


class ServiceNow(NamedTuple):
    """The policy in force, and the day on which accounts left, None for those that haven't."""

    policy: "Policy"
    departures: "dict[str, date | None]"


def read_service(settings: Settings) -> ServiceNow:
    """The service as Postgres knows it. Raises `HealthError` if it isn't there."""
    from service.evaluation.policy import load_policy
    from service.storage.accounts import accounts
    from service.storage.database.session import in_transaction

    async def read(connection: "AsyncConnection") -> ServiceNow:
        policy = await load_policy(connection, settings.retention_days)
        return ServiceNow(policy, await accounts.departures(connection))

    return in_transaction(settings, read)


def outcome_reader(
    file: Path | None, horizon_days: int | None, now: ServiceNow | None
) -> "Callable[[PartitionedLog], Sequence[Outcome]]":
    """Reads outcomes from the file, at once; without one, from a log's account events and what the service knows.

    Both raise `HealthError`.
    """
    from service.jobs.backtest.attribute_outcomes import read_attribute_outcomes
    from service.jobs.backtest.outcome_file import read_outcomes

    if file is not None:
        outcomes = read_outcomes(file)
        return lambda _: outcomes
    stored = None if now is None else now.departures
    return lambda log: read_attribute_outcomes(log, still_there=horizon_days is not None, stored=stored)


def require_folder(option: str, file: Path | None) -> None:
    """Make sure that a file can be written, before what is in it is worked out. Raises `HealthError`."""
    if file is not None and not file.parent.is_dir():
        raise HealthError(f"{option} {file}: there is no folder {file.parent}", "Create it, or give another file")
    if file is not None and file.is_dir():
        raise HealthError(f"{option} {file} is a folder", "Give a file in it")


def write_report(
    found: Report,
    json: Path | None,
    html: Path | None,
    page: Callable[[Report], str],
    show: Callable[[Console, Report], None],
) -> None:
    """Print a report, and write it to the files that were asked for. Raises `HealthError` if one can't be written."""
    console = Console(highlight=False, markup=False)  # account ids and file names may contain either
    if not console.is_terminal:
        console.width = WIDE
    show(console, found)
    if json is not None:
        write_file("--json", json, msgspec.json.format(msgspec.json.encode(found)).decode() + "\n")
    if html is not None:
        write_file("--html", html, page(found))


def write_file(option: str, file: Path, text: str) -> None:
    """Write a file that an option names. Raises `HealthError`."""
    try:
        file.write_text(text, "utf-8")
    except OSError as error:
        raise HealthError(f"{option} {file} can't be written: {error.strerror}", "Give another file") from None

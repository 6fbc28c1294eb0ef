"""`account-health scorecard adapt`: a draft whose curves fit the accounts that are in force now."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from rich.console import Console
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from scoring.scorecards.document import ScorecardDocument, parse
from scoring.scorecards.scorecard import compile_scorecard
from scoring.whatif.adapt_report import AdaptReport, adapt_and_report
from scoring.whatif.preview import draft
from service.cli.scorecard_adapt_tables import WIDE, tables
from service.cli.scorecard_file import to_yaml
from service.evaluation.adapt import Portfolio, read_portfolio
from service.evaluation.policy import load_policy, starter
from service.evaluation.preview import Sample, sample
from service.evaluation.scorecards import in_force, starter_names
from service.jobs.load.terminal import bar
from service.runtime.errors import HealthError
from service.runtime.settings import load_settings
from service.storage.database.session import with_engine

MOST_ACCOUNTS = 20_000
"""More accounts would move a quantile by less than its rounding."""


class _Source(NamedTuple):
    """A document to adapt, and where it is from."""

    document: ScorecardDocument
    origin: str


def adapt(
    name: str,
    out: Annotated[
        Path | None, typer.Option(dir_okay=False, help="The file to write the draft to. By default standard output.")
    ] = None,
    from_starter: Annotated[
        bool, typer.Option("--starter", help="Adapt the starter of this name, not the scorecard in force.")
    ] = False,
    accounts: Annotated[
        int, typer.Option(min=1, max=100_000, help="Read an even sample of at most this many accounts.")
    ] = MOST_ACCOUNTS,
) -> None:
    """Write a draft of a scorecard whose curves fit the accounts that have it now. Changes nothing; needs no outcomes.

    The points of its curves become quantiles of the values that accounts have, so that each measure tells them apart.
    A report on standard error shows what saturates. Look at the draft with preview, then publish it.
    """
    settings = load_settings()

    async def work(engine: AsyncEngine) -> tuple[_Source, Sample, Portfolio]:
        reads = engine.execution_options(isolation_level="AUTOCOMMIT")
        async with reads.connect() as connection:
            source = await _find(connection, name, from_starter, settings.retention_days)
            planned = draft(source.document, await load_policy(connection, settings.retention_days))
        drawn = await sample(reads, accounts)
        with bar("reading accounts", drawn.judged) as advance:
            return source, drawn, await read_portfolio(reads, drawn, planned, datetime.now(UTC), advance)

    source, drawn, portfolio = with_engine(settings, work)
    adapted, report = adapt_and_report(compile_scorecard(source.document, 1), portfolio.readings)
    _print_report(source, drawn, portfolio, report)
    _write(out, f"{_heading(source, report)}\n{to_yaml(adapted.document)}")


async def _find(connection: AsyncConnection, name: str, from_starter: bool, retention: int) -> _Source:
    """The scorecard in force of that name, or else the starter. Raises `HealthError`."""
    published = {} if from_starter else await in_force(connection)
    if name in published:
        return _Source(published[name].document, f"version {published[name].version}")
    if name in starter_names():
        return _Source(parse(starter(name), retention), "the starter")
    if from_starter:
        raise HealthError(f"There is no starter {name!r}", f"Give one of {', '.join(starter_names())}")
    raise HealthError(f"There is no scorecard {name}", "Run: account-health scorecard list")


def _heading(source: _Source, report: AdaptReport) -> str:
    name, today = source.document.name, f"{datetime.now(UTC):%Y-%m-%d}"
    return f"# {name}, from {source.origin}, adapted to {report.accounts:,} accounts on {today}"


def _print_report(source: _Source, drawn: Sample, portfolio: Portfolio, report: AdaptReport) -> None:
    console = Console(stderr=True, highlight=False, markup=False)  # names of measures may contain either
    if not console.is_terminal:
        console.width = WIDE
    sampled = "" if drawn.cut is None else f", sampled from {drawn.accounts:,}"
    console.print(
        f"{source.document.name}, from {source.origin}: it applies to {report.accounts:,} of {drawn.judged:,} accounts"
        f"{sampled} (that have left: {portfolio.churned:,}; that have another scorecard: {portfolio.others:,})."
    )
    for table in tables(report):
        console.print()
        console.print(table)
    if report.bands_after != report.bands_before:
        bands = report.like_before
        console.print(
            "The bands stay as they are. To leave about as many accounts in each as now, write into the draft"
            f" bands: {{red: 0, yellow: {bands.yellow:g}, green: {bands.green:g}}}"
        )
    if source.document.calibration is not None:
        console.print("Its calibration is left out: it was worked out on the old curves. Calibrate again.")


def _write(out: Path | None, text: str) -> None:
    """Write the draft, or print it. Raises `HealthError`."""
    if out is None:
        typer.echo(text, nl=False)
        return
    try:
        out.write_text(text, "utf-8")
    except OSError as error:
        raise HealthError(f"{out} can't be written: {error.strerror}", "Name another file with --out") from None
    typer.echo(f"The draft is in {out}. Next: account-health scorecard preview {out}", err=True)

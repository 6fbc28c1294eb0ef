"""`account-health scorecard preview`: the effect of publishing a draft on the accounts."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from sqlalchemy.ext.asyncio import AsyncEngine

from scoring.scorecards.document import ScorecardDocument, ScorecardProblem
from scoring.whatif.preview import PolicyDraft, draft
from scoring.whatif.preview_summary import PreviewSummary
from service.cli.scorecard_file import File, print_warnings, read
from service.cli.scorecard_preview_tables import tables
from service.evaluation.policy import load_policy
from service.evaluation.preview import Sample, preview_accounts, sample
from service.evaluation.scorecards import all_warnings
from service.jobs.load.terminal import bar
from service.runtime.settings import load_settings
from service.storage.database.session import with_engine

WIDE = 160


def preview(
    file: File,
    accounts: Annotated[
        int | None, typer.Option(min=1, help="Score an even sample of at most this many accounts. By default all.")
    ] = None,
) -> None:
    """Show the effect of publishing a scorecard: the bands and scores that change, and the alerts. Changes nothing."""
    settings = load_settings()
    document = read(file, settings.retention_days)

    async def work(engine: AsyncEngine) -> tuple[PolicyDraft, Sample, PreviewSummary]:
        reads = engine.execution_options(isolation_level="AUTOCOMMIT")
        planned, odd = await _plan(reads, document, settings.retention_days)
        print_warnings(odd)
        drawn = await sample(reads, accounts)
        with bar("evaluating", drawn.judged) as advance:
            return planned, drawn, await preview_accounts(reads, drawn, planned, datetime.now(UTC), advance)

    _print(*with_engine(settings, work))


async def _plan(
    reads: AsyncEngine, document: ScorecardDocument, retention: int
) -> tuple[PolicyDraft, list[ScorecardProblem]]:
    async with reads.connect() as connection:
        return draft(document, await load_policy(connection, retention)), await all_warnings(connection, document)


def _print(planned: PolicyDraft, drawn: Sample, summary: PreviewSummary) -> None:
    console = Console(highlight=False, markup=False)  # names of accounts may contain either
    if not console.is_terminal:
        console.width = WIDE
    place = f"in place of version {planned.replaces.version}" if planned.replaces else "beside those in force"
    of_all = "" if drawn.cut is None else f" of {drawn.accounts:,}"
    console.print(
        f"{planned.card.name}, {place}: {summary.judged:,}{of_all} accounts evaluated,"
        f" {summary.covered:,} of them by it."
    )
    if planned.recalibrates:
        console.print("Its calibration is another: the probability of churn at each score changes, and no score by it.")
    for table in tables(summary):
        console.print()
        console.print(table)

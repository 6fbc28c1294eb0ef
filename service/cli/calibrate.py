"""`account-health calibrate`."""

import textwrap
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.log_options import (
    Columns,
    Constants,
    LogFilesOrTopics,
    SkipInvalid,
    Timezone,
    Topic,
    Topics,
    read_log,
)
from service.cli.replay_options import (
    EngineName,
    HorizonDays,
    HtmlReport,
    JsonReport,
    LeadDays,
    Master,
    OutcomeFile,
    Processes,
    WorkDir,
    engine_of,
    file_option,
    outcome_reader,
    read_service,
    require_folder,
    write_file,
    write_report,
)
from service.runtime.errors import HealthError, require_files_extra
from service.runtime.settings import load_settings

if TYPE_CHECKING:
    from scoring.rules.policy import Policy
    from service.jobs.calibration.calibration import CalibrationReport

MOST_MEASURES = 30
DRAFT = Path("draft.yaml")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="calibrate")(calibrate_command)


def calibrate_command(
    files: LogFilesOrTopics = None,
    outcomes: OutcomeFile = None,
    topics: Topics = False,
    in_force: Annotated[
        bool, typer.Option("--in-force", help="Compare with this service's scorecards, from Postgres.")
    ] = False,
    scorecard: Annotated[
        Path | None,
        file_option(
            "The scorecard in force, in YAML or JSON, to compare with. [default: the one that ships with the service]"
        ),
    ] = None,
    name: Annotated[
        str,
        typer.Option(help="The name of the draft, which is for the accounts of the scorecard in force of this name."),
    ] = "default",
    at_most: Annotated[int, typer.Option(min=1, max=MOST_MEASURES, help="The most measures of the draft.")] = 10,
    without: Annotated[
        list[str] | None,
        typer.Option(help="A measure that isn't tried, such as tenure_days. Repeatable.", metavar="MEASURE"),
    ] = None,
    lead_days: LeadDays = 3,
    horizon_days: HorizonDays = None,
    cut: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"],
            help="The day of the split by time. [default: a third of the churn lies after it]",
            metavar="YYYY-MM-DD",
            show_default=False,
        ),
    ] = None,
    topic: Topic = None,
    column: Columns = None,
    constant: Constants = None,
    timezone: Timezone = None,
    skip_invalid: SkipInvalid = False,
    processes: Processes = 0,
    engine: EngineName = "local",
    master: Master = None,
    work_dir: WorkDir = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The file of the draft. [default: draft.yaml, unless it is there already]",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    json: JsonReport = None,
    html: HtmlReport = None,
) -> None:
    """Fit a scorecard to a log of events and what became of the accounts, and prove it on what it wasn't fitted to.

    Needs Kafka only for --topics, and Postgres only for --in-force. A run that was stopped continues where it was when
    it is run again.
    """
    require_files_extra("A calibration")
    # Not at the top: no other command needs these.
    from scoring.backtest.horizon import Timing
    from scoring.scorecards.document import DEFAULT
    from scoring.state.calendar import to_day
    from service.jobs.calibration.calibration import Draft, calibrate_log, source_of
    from service.jobs.calibration.material import Request
    from service.jobs.calibration.report_page import page
    from service.jobs.calibration.report_tables import show

    settings = load_settings()
    target = _target(out)
    for option, file in (("--out", target), ("--json", json), ("--html", html)):
        require_folder(option, file)
    log = read_log(settings, work_dir, files, topics, topic, column, constant, timezone, skip_invalid)
    runs = engine_of(engine, processes, master)
    if in_force and scorecard is not None:
        raise HealthError("--in-force and --scorecard both name the scorecard in force", "Give one of them")
    now = read_service(settings) if in_force else None
    policy = _policy(now and now.policy, scorecard, name, settings.retention_days)
    draft = Draft(
        today=datetime.now(UTC).date(),
        source=source_of([file.name for file in files or ()]),
        name=name,
        applies_to=next(card.document.applies_to for card in policy.scorecards if card.name == name),
        at_most=at_most,
        cut=None if cut is None else to_day(cut.date()),
    )
    known = outcome_reader(outcomes, horizon_days, now)
    events = log()
    timing = Timing(lead_days, horizon_days)
    request = Request(policy, known(events), timing, None if name == DEFAULT else name, without or ())
    found = calibrate_log(events, request, draft, runs)
    write_report(found, json, html, page, show)
    _write_draft(target, found)


def _policy(in_force: "Policy | None", file: Path | None, name: str, retention: int) -> "Policy":
    """The policy to compare with, in which there is a scorecard `name`. Raises `HealthError`."""
    from service.cli.scorecard_file import read
    from service.jobs.calibration.replaced import replaced_policy

    document = None if file is None else read(file, retention)
    return replaced_policy(in_force, document, name, retention)


def _target(out: Path | None) -> Path:
    """The file of the draft: one that isn't named isn't written over. Raises `HealthError`."""
    if out is None and DRAFT.exists():
        raise HealthError(f"{DRAFT} is there already", f"Move it, or give --out {DRAFT} to write over it")
    return out or DRAFT


def _write_draft(out: Path, found: "CalibrationReport") -> None:
    """Write the draft, with the advice above it; or say that there is none."""
    from service.cli.scorecard_file import to_yaml

    if found.scorecard is None:
        typer.echo(f"There is no draft, so {out} isn't written.")
        return
    advice = textwrap.indent(textwrap.fill(f"{found.verdict}.", 118, break_long_words=False), "# ")
    write_file("--out", out, f"{advice}\n{to_yaml(found.scorecard)}")
    typer.echo(f"The draft is in {out}. See what it would change: account-health scorecard preview {out}")
    if found.recommended:
        typer.echo(f"Publish it: account-health scorecard publish {out}")

"""`account-health backtest`."""

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
    write_report,
)
from service.runtime.errors import require_files_extra
from service.runtime.settings import load_settings

if TYPE_CHECKING:
    from scoring.rules.policy import Policy


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="backtest")(backtest_command)


def backtest_command(
    files: LogFilesOrTopics = None,
    outcomes: OutcomeFile = None,
    topics: Topics = False,
    in_force: Annotated[
        bool,
        typer.Option(
            "--in-force", help="Judge this service's scorecards and rules, from Postgres, in place of the shipped ones."
        ),
    ] = False,
    scorecard: Annotated[
        list[Path] | None,
        file_option("A draft in YAML or JSON, judged for all accounts. Repeatable."),
    ] = None,
    rules: Annotated[
        Path | None,
        file_option("A list of alert rules in YAML or JSON, as POST /v1/alert-rules takes them."),
    ] = None,
    lead_days: LeadDays = 3,
    horizon_days: HorizonDays = None,
    topic: Topic = None,
    column: Columns = None,
    constant: Constants = None,
    timezone: Timezone = None,
    skip_invalid: SkipInvalid = False,
    processes: Processes = 0,
    engine: EngineName = "local",
    master: Master = None,
    work_dir: WorkDir = None,
    json: JsonReport = None,
    html: HtmlReport = None,
) -> None:
    """Judge scorecards and rules by a log of events and what became of the accounts.

    Needs Kafka only for --topics, and Postgres only for --in-force. A run that was stopped continues where it was when
    it is run again.
    """
    require_files_extra("A back-test")
    # Not at the top: no other command needs these.
    from scoring.backtest.horizon import Timing
    from service.jobs.backtest.backtest import backtest
    from service.jobs.backtest.report_page import page
    from service.jobs.backtest.report_tables import show

    settings = load_settings()
    require_folder("--json", json)
    require_folder("--html", html)
    log = read_log(settings, work_dir, files, topics, topic, column, constant, timezone, skip_invalid)
    runs = engine_of(engine, processes, master)
    now = read_service(settings) if in_force else None
    policies = _policies(now and now.policy, scorecard or [], rules, settings.retention_days)
    known = outcome_reader(outcomes, horizon_days, now)
    events = log()
    found = backtest(events, policies, known(events), runs, Timing(lead_days, horizon_days))
    write_report(found, json, html, page, show)


def _policies(in_force: "Policy | None", drafts: list[Path], rules: Path | None, retention: int) -> "dict[str, Policy]":
    """The policies that are compared. Raises `HealthError` if a file can't be used."""
    from service.cli.rule_file import read_rules
    from service.cli.scorecard_file import read
    from service.jobs.backtest.policies import compared_policies

    documents = [(str(file), read(file, retention)) for file in drafts]
    return compared_policies(in_force, documents, None if rules is None else read_rules(rules), retention)

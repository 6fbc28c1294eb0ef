"""`account-health backtest`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

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
from service.runtime.errors import HealthError, require_files_extra
from service.runtime.settings import Settings, load_settings

if TYPE_CHECKING:
    from scoring.rules.policy import Policy

WIDE = 160


def _file(help_text: str) -> Any:
    """An option that names a file to be read."""
    return typer.Option(help=help_text, exists=True, dir_okay=False, readable=True)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="backtest")(backtest_command)


def backtest_command(
    files: LogFilesOrTopics = None,
    outcomes: Annotated[
        Path | None,
        _file(
            "CSV or Parquet (.parquet) with account_id, date and churned (true or false): renewals and churns."
            " By default renews_on and churned_on of the log's account events."
        ),
    ] = None,
    topics: Topics = False,
    in_force: Annotated[
        bool,
        typer.Option(
            "--in-force", help="Judge this service's scorecards and rules, from Postgres, in place of the shipped ones."
        ),
    ] = False,
    scorecard: Annotated[
        list[Path] | None,
        _file("A draft in YAML or JSON, judged for all accounts. Repeatable."),
    ] = None,
    rules: Annotated[
        Path | None,
        _file("A list of alert rules in YAML or JSON, as POST /v1/alert-rules takes them."),
    ] = None,
    lead_days: Annotated[
        int, typer.Option(min=1, max=365, help="The number of days between looking at an account and its outcome.")
    ] = 3,
    horizon_days: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=730,
            help="Look at every account once in so many days: does it leave within them?"
            " [default: look before each renewal]",
            show_default=False,
        ),
    ] = None,
    topic: Topic = None,
    column: Columns = None,
    constant: Constants = None,
    timezone: Timezone = None,
    skip_invalid: SkipInvalid = False,
    processes: Annotated[
        int, typer.Option(min=0, max=256, help="The number of processes; 0 stands for one per processor.")
    ] = 0,
    engine: Annotated[
        Literal["local", "spark"], typer.Option(help="Processes of this machine, or Spark (the extra spark).")
    ] = "local",
    master: Annotated[
        str | None, typer.Option(help="The address of Spark. [default: local[*], this machine]", metavar="URL")
    ] = None,
    work_dir: Annotated[
        Path | None,
        typer.Option(help="The folder for what can be used again. [default: ~/.cache/account-health/backtests]"),
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Write the report to this file too, as JSON.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write the report to this file too, as a page with charts.")] = None,
) -> None:
    """Judge scorecards and rules by a log of events and what became of the accounts.

    Needs Kafka only for --topics, and Postgres only for --in-force. A run that was stopped continues where it was when
    it is run again.
    """
    require_files_extra("A back-test")
    # Not at the top: no other command needs these.
    import msgspec
    from rich.console import Console

    from scoring.backtest.horizon import Timing
    from service.jobs.backtest.attribute_outcomes import read_attribute_outcomes
    from service.jobs.backtest.backtest import backtest
    from service.jobs.backtest.outcome_file import read_outcomes
    from service.jobs.backtest.report_page import page
    from service.jobs.backtest.report_tables import show
    from service.jobs.backtest.run import engine_named

    settings = load_settings()
    _require_folder("--json", json)
    _require_folder("--html", html)
    log = read_log(settings, work_dir, files, topics, topic, column, constant, timezone, skip_invalid)
    if master is not None and engine != "spark":
        raise HealthError("--master is for Spark", "Add --engine spark, or leave it out")
    runs = engine_named(engine, processes=processes, master=master)
    policies = _policies(settings, scorecard or [], rules, in_force=in_force)
    given = None if outcomes is None else read_outcomes(outcomes)
    events = log()
    known = read_attribute_outcomes(events, still_there=horizon_days is not None) if given is None else given
    found = backtest(events, policies, known, runs, Timing(lead_days, horizon_days))
    if json is not None:
        json.write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
    if html is not None:
        html.write_text(page(found), "utf-8")
    console = Console(highlight=False, markup=False)  # account ids and file names may contain either
    if not console.is_terminal:
        console.width = WIDE
    show(console, found)


def _policies(settings: Settings, drafts: list[Path], rules: Path | None, *, in_force: bool) -> "dict[str, Policy]":
    """The policies that are compared. Raises `HealthError` if a file can't be used, or Postgres isn't there."""
    from service.cli.rule_file import read_rules
    from service.cli.scorecard_file import read
    from service.evaluation.policy import load_policy
    from service.jobs.backtest.policies import compared_policies
    from service.storage.database.session import in_transaction

    retention = settings.retention_days
    documents = [(str(file), read(file, retention)) for file in drafts]
    watching = None if rules is None else read_rules(rules)
    now = in_transaction(settings, lambda connection: load_policy(connection, retention)) if in_force else None
    return compared_policies(now, documents, watching, retention)


def _require_folder(option: str, file: Path | None) -> None:
    if file is not None and not file.parent.is_dir():
        raise HealthError(f"{option} {file}: there is no folder {file.parent}", "Create it, or give another file")
    if file is not None and file.is_dir():
        raise HealthError(f"{option} {file} is a folder", "Give a file in it")

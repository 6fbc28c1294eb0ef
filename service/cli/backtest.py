"""`account-health backtest`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
import uvloop
from msgspec.structs import replace

from service.cli.log_options import (
    Columns,
    Constants,
    LogFiles,
    SkipInvalid,
    Timezone,
    Topic,
    log_request,
    until_stopped,
)
from service.runtime.errors import HealthError, require_files_extra
from service.runtime.settings import load_settings

if TYPE_CHECKING:
    from scoring.rules.policy import Policy

WIDE = 160
STOPPING = "Stopping; a second signal stops at once."


def _file(help_text: str) -> Any:
    """An option that names a file to be read."""
    return typer.Option(help=help_text, exists=True, dir_okay=False, readable=True)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="backtest")(backtest_command)


def backtest_command(
    files: LogFiles,
    outcomes: Annotated[
        Path,
        _file("CSV or Parquet (.parquet) with account_id, date and churned (true or false): renewals and churns."),
    ],
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

    Needs neither Kafka nor Postgres. A run that was stopped continues where it was when it is run again.
    """
    require_files_extra("A back-test")
    # Not at the top: no other command needs these.
    import msgspec
    from rich.console import Console

    from service.jobs.backtest.backtest import backtest
    from service.jobs.backtest.event_log import default_folder, partition_log
    from service.jobs.backtest.outcome_file import read_outcomes
    from service.jobs.backtest.report_page import page
    from service.jobs.backtest.report_tables import show
    from service.jobs.backtest.run import engine_named

    settings = load_settings()
    _require_folder("--json", json)
    _require_folder("--html", html)
    log = log_request(settings, work_dir or default_folder(), files, topic, column, constant, timezone)
    order = replace(log, skip_invalid=skip_invalid)
    if master is not None and engine != "spark":
        raise HealthError("--master is for Spark", "Add --engine spark, or leave it out")
    runs = engine_named(engine, processes=processes, master=master)
    policies = _policies(scorecard or [], rules, settings.retention_days)
    known = read_outcomes(outcomes)
    events = uvloop.run(until_stopped(lambda stop: partition_log(order, settings.max_record_bytes, stop), STOPPING))
    found = backtest(events, policies, known, runs, lead_days)
    if json is not None:
        json.write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
    if html is not None:
        html.write_text(page(found), "utf-8")
    console = Console(highlight=False, markup=False)  # account ids and file names may contain either
    if not console.is_terminal:
        console.width = WIDE
    show(console, found)


def _policies(drafts: list[Path], rules: Path | None, retention: int) -> "dict[str, Policy]":
    """The policy of the default scorecard with the rules, and one for each draft."""
    from scoring.rules.policy import Policy
    from scoring.scorecards.document import DEFAULT, parse
    from scoring.scorecards.scorecard import compile_scorecard
    from service.cli.rule_file import read_rules
    from service.cli.scorecard_file import read
    from service.evaluation.policy import starter

    documents = {DEFAULT: parse(starter(DEFAULT), retention)}
    for file in drafts:
        if str(file) in documents:
            raise HealthError(f"--scorecard {file} is given twice", "Give it once")
        documents[str(file)] = replace(read(file, retention), name=DEFAULT, applies_to=None)
    policies = {
        name: Policy((compile_scorecard(document, 1),), retention=retention) for name, document in documents.items()
    }
    if rules is not None:
        policies[DEFAULT] = replace(policies[DEFAULT], rules=read_rules(rules))
    return policies


def _require_folder(option: str, file: Path | None) -> None:
    if file is not None and not file.parent.is_dir():
        raise HealthError(f"{option} {file}: there is no folder {file.parent}", "Create it, or give another file")
    if file is not None and file.is_dir():
        raise HealthError(f"{option} {file} is a folder", "Give a file in it")

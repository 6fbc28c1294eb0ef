"""Back-tests as they are asked for over HTTP: checked when they come in, and again when they run."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta, Struct, field

from scoring.backtest.horizon import Timing
from scoring.rules.conditions import Rule
from scoring.scorecards.document import InvalidDocumentError, ScorecardDocument, ScorecardProblem, parse
from scoring.scorecards.validation_errors import fault_of
from service.jobs.backtest.rule_list import InvalidRuleError, rules_of
from service.jobs.load.files import LoadRequest, log_request
from service.runtime.errors import HealthError
from service.runtime.settings import Settings

Name = Annotated[str, Meta(min_length=1, max_length=1000, pattern=r"^[^\x00]*$")]
Names = Annotated[dict[Name, Name], Meta(max_length=50)]


class BacktestLog(Struct, frozen=True, forbid_unknown_fields=True):
    """A log in the server's folder of logs: a file, or a folder of files, as `account-health load` takes it."""

    path: Name
    topic: Name | None = None
    columns: Names = {}
    constants: Names = {}
    timezone: Name | None = None
    skip_invalid: bool = False


class BacktestRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """The parts of a back-test: by default the service's topics, by what account events say became of accounts.

    The scorecards and rules in force are judged beside the drafts; `rules` replace those in force.
    """

    log: BacktestLog | None = None
    outcomes: Name | None = None
    scorecards: Annotated[list[dict[str, Any]], Meta(max_length=10)] = field(default_factory=list)
    rules: Annotated[list[dict[str, Any]], Meta(min_length=1, max_length=50)] | None = None
    lead_days: Annotated[int, Meta(ge=1, le=365)] = 3
    horizon_days: Annotated[int, Meta(ge=1, le=730)] | None = None


class BacktestPlan(NamedTuple):
    """A checked request. `log` is None for the topics, `outcomes` for what account events say."""

    log: LoadRequest | None
    outcomes: Path | None
    drafts: list[tuple[str, ScorecardDocument]]
    rules: tuple[Rule, ...] | None
    timing: Timing


def read_request(body: Any) -> BacktestRequest:
    """The request in a body; raises `InvalidDocumentError` naming the field at fault."""
    try:
        return msgspec.convert(body, BacktestRequest)
    except msgspec.ValidationError as error:
        raise InvalidDocumentError([ScorecardProblem(*fault_of(error, "body", BacktestRequest))]) from None


def plan(request: BacktestRequest, settings: Settings, work_dir: Path) -> BacktestPlan:
    """The request with its files found and its documents parsed; results that can be used again go to `work_dir`.

    Raises `InvalidDocumentError` naming the fields at fault.
    """
    return BacktestPlan(
        None if request.log is None else _log(request.log, settings, work_dir),
        None if request.outcomes is None else _inside("outcomes", request.outcomes, settings, is_file=True),
        list(_drafts(request, settings.retention_days)),
        None if request.rules is None else _rules(request.rules),
        Timing(request.lead_days, request.horizon_days),
    )


def _log(log: BacktestLog, settings: Settings, work_dir: Path) -> LoadRequest:
    path = _inside("log.path", log.path, settings)
    columns, constants = (
        [f"{ours}={theirs}" for ours, theirs in each.items()] for each in (log.columns, log.constants)
    )
    try:
        found = log_request(settings, work_dir, [path], log.topic, columns, constants, log.timezone)
    except HealthError as error:
        raise _problem("log", str(error)) from None
    return msgspec.structs.replace(found, skip_invalid=log.skip_invalid)


def _inside(name: str, given: str, settings: Settings, *, is_file: bool = False) -> Path:
    """A path in the folder of logs, wherever links lead: callers choose it, and must not read the server's files."""
    if not settings.backtest_folder:
        raise _problem(name, "this server has no folder of logs; its operator sets HEALTH_BACKTEST_FOLDER")
    folder = Path(settings.backtest_folder).resolve()
    try:
        path = (folder / given).resolve()
        there = path.is_relative_to(folder) and (path.is_file() or (path.is_dir() and not is_file))
    except (OSError, ValueError):
        there = False
    if not there:
        raise _problem(name, f"{given!r} isn't in the server's folder of logs; give a path relative to that folder")
    return path


def _drafts(request: BacktestRequest, retention: int) -> Iterator[tuple[str, ScorecardDocument]]:
    for place, body in enumerate(request.scorecards):
        try:
            document = parse(body, retention)
        except InvalidDocumentError as error:
            raise _at(f"scorecards[{place}]", error) from None
        yield f"draft {place + 1}, {document.name}", document


def _rules(bodies: list[dict[str, Any]]) -> tuple[Rule, ...]:
    try:
        return rules_of(bodies)
    except InvalidRuleError as error:
        raise _at(f"rules[{error.number - 1}]", error) from None


def _at(place: str, error: InvalidDocumentError) -> InvalidDocumentError:
    return InvalidDocumentError([ScorecardProblem(f"{place}.{each.field}", each.message) for each in error.problems])


def _problem(name: str, message: str) -> InvalidDocumentError:
    return InvalidDocumentError([ScorecardProblem(name, message)])

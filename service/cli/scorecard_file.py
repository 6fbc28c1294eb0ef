"""Scorecards in files, and in words, for `account-health scorecard …`."""

from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
import yaml

from scoring.scorecards.document import AppliesTo, InvalidDocumentError, ScorecardDocument, ScorecardProblem, parse
from service.runtime.errors import HealthError

File = Annotated[Path, typer.Argument(help="A scorecard in YAML or JSON.", exists=True, dir_okay=False, readable=True)]
_FAULTS = (ValueError, ArithmeticError, LookupError, TypeError, AttributeError)
"""The errors of the YAML reader at malformed numbers, dates and tags: those of whatever Python makes of them."""
_ORDER = ("name", "applies_to", "min_coverage", "bands", "measures", "calibration")


def read(file: Path, retention: int) -> ScorecardDocument:
    """The document in a file, checked. Raises `HealthError` that names every field at fault."""
    try:
        return parse(parsed(file), retention)
    except InvalidDocumentError as error:
        lines = "".join(f"\n  {problem.field}: {problem.message}" for problem in error.problems)
        raise HealthError(f"{file} can't be used:{lines}") from None


def parsed(file: Path) -> Any:
    """The contents of a YAML or JSON file. Raises `HealthError`."""
    try:
        return yaml.safe_load(file.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise HealthError(f"{file} is neither YAML nor JSON: {error}") from None
    except RecursionError:
        raise HealthError(f"{file} can't be read: it is nested too deeply") from None
    except _FAULTS as error:
        raise HealthError(f"{file} can't be read: it holds a malformed value ({error})", "Correct it") from None
    except OSError as error:
        raise HealthError(f"{file} can't be read: {error.strerror}") from None


def print_warnings(warnings: Iterable[ScorecardProblem]) -> None:
    """Print warnings on standard error."""
    for warning in warnings:
        typer.secho(f"warning: {warning.field}: {warning.message}", err=True, fg=typer.colors.YELLOW)


def to_yaml(document: ScorecardDocument) -> str:
    """The document as a file that `read` can read."""
    written = msgspec.to_builtins(document, builtin_types=(date,))
    ordered = {name: _whole(written[name]) for name in _ORDER if name in written}
    return yaml.safe_dump(ordered, sort_keys=False, default_flow_style=None, allow_unicode=True, width=120)


def audience(applies_to: AppliesTo | None) -> str:
    """The accounts that a scorecard is for, in words."""
    if applies_to is None:
        return "all the rest"
    parts = []
    if applies_to.segments is not None:
        parts.append(f"segment {' or '.join(applies_to.segments)}")
    if applies_to.stages is not None:
        parts.append(f"stage {' or '.join(applies_to.stages)}")
    if applies_to.tenure_days is not None:
        parts.append("day {} to {}".format(*applies_to.tenure_days))
    return f"{', '.join(parts)} (rank {applies_to.rank})"


def _whole(value: Any) -> Any:
    """The value with whole numbers written as such: `10` in place of `10.0`."""
    if isinstance(value, dict):
        return {name: _whole(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_whole(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value

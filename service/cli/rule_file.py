"""Alert rules in files, as `POST /v1/alert-rules` takes them."""

from pathlib import Path

from scoring.rules.conditions import Rule
from service.cli.scorecard_file import parsed
from service.jobs.backtest.rule_list import InvalidRuleError, rules_of
from service.runtime.errors import HealthError


def read_rules(file: Path) -> tuple[Rule, ...]:
    """The enabled rules in a file, a list of them; their names are their ids. Raises `HealthError`."""
    listed = parsed(file)
    if not isinstance(listed, list) or not listed:
        raise HealthError(f"{file} is no list of rules", "Write a list of rules as POST /v1/alert-rules takes them")
    try:
        return rules_of(listed)
    except InvalidRuleError as error:
        raise HealthError(f"{file} rule {error.number}: {error}") from None

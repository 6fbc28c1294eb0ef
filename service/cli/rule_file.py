"""Alert rules in files, as `POST /v1/alert-rules` takes them."""

from pathlib import Path
from typing import Any

from scoring.rules.conditions import Rule
from scoring.rules.document import read_condition, read_head
from scoring.scorecards.document import InvalidDocumentError
from service.cli.scorecard_file import parsed
from service.runtime.errors import HealthError


def read_rules(file: Path) -> tuple[Rule, ...]:
    """The enabled rules in a file, a list of them; their names are their ids. Raises `HealthError`."""
    listed = parsed(file)
    if not isinstance(listed, list) or not listed:
        raise HealthError(f"{file} is no list of rules", "Write a list of rules as POST /v1/alert-rules takes them")
    rules: dict[str, tuple[bool, Rule]] = {}
    for number, body in enumerate(listed, 1):
        enabled, rule = _rule(f"{file} rule {number}", body)
        if rule.id in rules:
            raise HealthError(f"{file} rule {number}: name: {rule.name!r} is taken by a rule before it", "Rename one")
        rules[rule.id] = enabled, rule
    return tuple(rule for enabled, rule in rules.values() if enabled)


def _rule(place: str, body: Any) -> tuple[bool, Rule]:
    if not isinstance(body, dict):
        raise HealthError(f"{place} has no fields", "Write it as POST /v1/alert-rules takes it")
    try:
        head = read_head(body, "rule")
        condition = read_condition(head, body, "rule")
    except InvalidDocumentError as error:
        raise HealthError(f"{place}: {error}") from None
    return head.enabled, Rule(head.name, head.name, condition)

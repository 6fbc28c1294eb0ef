"""Alert rules in files, as `POST /v1/alert-rules` takes them."""

from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from scoring.rules.conditions import KINDS, Condition, Rule
from scoring.scorecards.document import NonEmptyText
from scoring.scorecards.validation_errors import fault_of
from service.cli.scorecard_file import parsed
from service.runtime.errors import HealthError


class _Head(Struct):
    """The fields of a rule beside its condition."""

    name: NonEmptyText
    kind: str
    enabled: bool = True


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
    head: _Head = _converted(place, body, _Head)
    if head.kind not in KINDS:
        raise HealthError(f"{place}: kind: {head.kind[:100]!r} is not known", f"Write one of {', '.join(KINDS)}")
    rest = {name: value for name, value in body.items() if name not in ("name", "enabled")}
    condition: Condition = _converted(place, rest, Condition)
    for problem in condition.problems():
        raise HealthError(f"{place}: {problem.field}: {problem.message}")
    return head.enabled, Rule(head.name, head.name, condition)


def _converted(place: str, value: Any, form: Any) -> Any:
    try:
        return msgspec.convert(value, form)
    except msgspec.ValidationError as error:
        field, message = fault_of(error, "rule", form)
        raise HealthError(f"{place}: {field}: {message}") from None

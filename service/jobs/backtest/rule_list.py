"""Alert rules of a back-test: a list of them as `POST /v1/alert-rules` takes each."""

from collections.abc import Sequence
from typing import Any

from scoring.rules.conditions import Rule
from scoring.rules.document import read_condition, read_head
from scoring.scorecards.document import InvalidDocumentError, ScorecardProblem
from service.runtime.text import unprintable_problem


class InvalidRuleError(InvalidDocumentError):
    """Raised for a rule that can't be used; `number` counts from 1."""

    def __init__(self, number: int, problems: list[ScorecardProblem]) -> None:
        super().__init__(problems)
        self.number = number


def rules_of(bodies: Sequence[Any]) -> tuple[Rule, ...]:
    """The enabled rules; their names are their ids. Raises `InvalidRuleError` for the first that can't be used."""
    rules: dict[str, tuple[bool, Rule]] = {}
    for number, body in enumerate(bodies, 1):
        if not isinstance(body, dict):
            raise InvalidRuleError(number, [ScorecardProblem("rule", "has no fields")])
        try:
            head = read_head(body, "rule")
            condition = read_condition(head, body, "rule")
        except InvalidDocumentError as error:
            raise InvalidRuleError(number, error.problems) from None
        if (problem := unprintable_problem(head.name)) is not None:
            raise InvalidRuleError(number, [ScorecardProblem("name", problem)])
        if head.name in rules:
            said = f"{head.name!r} is taken by a rule before it; rename one"
            raise InvalidRuleError(number, [ScorecardProblem("name", said)])
        rules[head.name] = head.enabled, Rule(head.name, head.name, condition)
    return tuple(rule for enabled, rule in rules.values() if enabled)

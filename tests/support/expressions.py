"""The metrics that a PromQL expression uses, and the labels that each must have."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import promql_parser
from promql_parser import AggModifierType, AggregateExpr, BinaryExpr, VectorSelector


class Needed(NamedTuple):
    """A metric that an expression names, with a label that it must have; empty where any will do."""

    metric: str
    label: str


def needed_by(expression: str) -> set[Needed]:
    """All that an expression needs. Raises ValueError if it isn't PromQL."""
    parsed = promql_parser.parse(expression)
    found: set[Needed] = set()
    for each in _all(parsed):
        if isinstance(each, VectorSelector):
            assert each.name, expression
            found.add(Needed(each.name, ""))
            found |= {Needed(each.name, matcher.name) for matcher in each.matchers.matchers}
        elif isinstance(each, AggregateExpr) and each.modifier and each.modifier.type == AggModifierType.By:
            found |= {Needed(metric, label) for metric in _metrics(each.expr) for label in each.modifier.labels}
        elif isinstance(each, BinaryExpr) and each.modifier and each.modifier.matching:
            found |= {Needed(metric, label) for metric in _metrics(each) for label in each.modifier.matching.labels}
    return found


def _metrics(expression: Any) -> set[str]:
    return {each.name for each in _all(expression) if isinstance(each, VectorSelector) and each.name}


def _all(expression: Any) -> Iterator[Any]:
    found: list[Any] = []
    promql_parser.walk(expression, found.append)
    yield from found

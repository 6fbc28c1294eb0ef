"""Alert rules as documents: their parts, and every check that needs no database."""

from typing import Any

import msgspec
from msgspec import Struct

from scoring.rules.conditions import KINDS, Condition
from scoring.scorecards.document import InvalidDocumentError, NonEmptyText, ScorecardProblem
from scoring.scorecards.validation_errors import fault_of


class RuleHead(Struct):
    """The fields of a rule beside its condition."""

    name: NonEmptyText
    kind: str
    enabled: bool = True


def read_head(body: dict[str, Any], whole: str) -> RuleHead:
    """The fields beside the condition; raises `InvalidDocumentError`, in which `whole` names the rule itself."""
    head: RuleHead = _converted(body, RuleHead, whole)
    return head


def read_condition(head: RuleHead, body: dict[str, Any], whole: str) -> Condition:
    """The condition of the rule that `head` was read from; raises `InvalidDocumentError` naming the fields at fault."""
    if head.kind not in KINDS:
        message = f"{head.kind[:100]!r} is not known; send one of {', '.join(KINDS)}"
        raise InvalidDocumentError([ScorecardProblem("kind", message)])
    rest = {name: value for name, value in body.items() if name not in ("name", "enabled")}
    condition: Condition = _converted(rest, Condition, whole)
    if problems := condition.problems():
        raise InvalidDocumentError([ScorecardProblem(each.field, each.message) for each in problems])
    return condition


def _converted(value: dict[str, Any], form: Any, whole: str) -> Any:
    try:
        return msgspec.convert(value, form)
    except msgspec.ValidationError as error:
        raise InvalidDocumentError([ScorecardProblem(*fault_of(error, whole, form))]) from None

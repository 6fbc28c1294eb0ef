"""An alert rule as people write it, and as it is stored."""

from heapq import nsmallest
from typing import Any, get_args

import msgspec
from msgspec import Struct

from scoring.rules.conditions import KINDS, Condition
from scoring.scorecards.document import NonEmptyText
from scoring.scorecards.validation_errors import fault_of
from service.api.http.openapi_helpers import RULES, schema_ref
from service.api.http.problems import MOST_ERRORS, FieldError, invalid
from service.runtime import text

BODY: dict[str, Any] = {"oneOf": [schema_ref(rule) for rule in RULES]}
PATCH_BODY: dict[str, Any] = schema_ref("RulePatch")
EXAMPLE = {
    "name": "At risk",
    "kind": "score",
    "direction": "below",
    "level": 40,
    "clear_level": 45,
    "for_seconds": 3600,
    "segments": ["enterprise"],
    "exclude_stages": ["trial"],
    "playbook_url": "https://wiki.example.com/at-risk",
}


_FIELDS = {"name", "enabled", "kind"}.union(*(rule.__struct_fields__ for rule in get_args(Condition)))


class _Head(Struct):
    """The fields of a rule beside its condition."""

    name: NonEmptyText
    kind: str
    enabled: bool = True


def parse_rule(body: dict[str, Any]) -> dict[str, Any]:
    """The columns of a rule, except its id; 422 names every field at fault."""
    head = _convert(body, _Head)
    if (problem := text.unprintable_problem(head.name)) is not None:
        raise invalid(FieldError("name", problem))
    if head.kind not in KINDS:
        raise invalid(FieldError("kind", f"{head.kind[:100]!r} is not known; send one of {', '.join(KINDS)}"))
    rest = {name: value for name, value in body.items() if name not in ("name", "enabled")}
    condition: Condition = _convert(rest, Condition)
    if problems := condition.problems():
        raise invalid(*(FieldError(each.field, each.message) for each in problems))
    document = msgspec.to_builtins(condition)
    return {"name": head.name, "kind": document.pop("kind"), "enabled": head.enabled, "document": document}


def patched(stored: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """A rule as people write it, with changes; null restores the default. 422 names unknown fields."""
    if unknown := patch.keys() - _FIELDS:
        some = nsmallest(MOST_ERRORS, unknown)
        raise invalid(*(FieldError(name, "is not a field of a rule") for name in some))
    return {name: value for name, value in {**stored, **patch}.items() if value is not None}


def _convert(value: dict[str, Any], form: Any) -> Any:
    try:
        return msgspec.convert(value, form)
    except msgspec.ValidationError as error:
        raise invalid(FieldError(*fault_of(error, "body", form))) from None

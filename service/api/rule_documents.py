"""An alert rule as people write it, and as it is stored."""

from typing import Any

import msgspec
from msgspec import Struct

from scoring.documents import Word
from scoring.faults import fault_of
from scoring.rules import KINDS, Condition
from service.api.openapi import RULES, ref
from service.api.problems import FieldError, invalid

BODY: dict[str, Any] = {"oneOf": [ref(rule) for rule in RULES]}
PATCH_BODY: dict[str, Any] = {"type": "object", "description": "Any of the fields that a rule of the kind has."}
EXAMPLE = {
    "name": "At risk",
    "kind": "score",
    "direction": "below",
    "level": 40,
    "clear_level": 45,
    "for_seconds": 3600,
    "segments": ["enterprise"],
}


class _Head(Struct):
    """What a rule has beside its condition."""

    name: Word
    kind: str
    enabled: bool = True


def parse_rule(body: dict[str, Any]) -> dict[str, Any]:
    """The columns of a rule, but for its id; 422 names every field at fault."""
    head = _convert(body, _Head)
    if not head.name.isprintable():
        raise invalid(FieldError("name", "must be printable characters"))
    if head.kind not in KINDS:
        raise invalid(FieldError("kind", f"{head.kind[:100]!r} is not known; send one of {', '.join(KINDS)}"))
    rest = {name: value for name, value in body.items() if name not in ("name", "enabled")}
    condition: Condition = _convert(rest, Condition)
    if problems := condition.problems():
        raise invalid(*(FieldError(problem.field, problem.message) for problem in problems))
    document = msgspec.to_builtins(condition)
    return {"name": head.name, "kind": document.pop("kind"), "enabled": head.enabled, "document": document}


def _convert(value: dict[str, Any], form: Any) -> Any:
    try:
        return msgspec.convert(value, form)
    except msgspec.ValidationError as error:
        raise invalid(FieldError(*fault_of(error, "body"))) from None

"""An alert rule as people write it, and as it is stored."""

from heapq import nsmallest
from typing import Any, get_args

import msgspec

from scoring.rules.conditions import Condition
from scoring.rules.document import read_condition, read_head
from scoring.scorecards.document import InvalidDocumentError
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


def parse_rule(body: dict[str, Any]) -> dict[str, Any]:
    """The columns of a rule, except its id; 422 names every field at fault."""
    try:
        head = read_head(body, "body")
        if (problem := text.unprintable_problem(head.name)) is not None:
            raise invalid(FieldError("name", problem))
        document = msgspec.to_builtins(read_condition(head, body, "body"))
    except InvalidDocumentError as error:
        raise invalid(*(FieldError(each.field, each.message) for each in error.problems)) from None
    return {"name": head.name, "kind": document.pop("kind"), "enabled": head.enabled, "document": document}


def patched(stored: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """A rule as people write it, with changes; null restores the default. 422 names unknown fields."""
    if unknown := patch.keys() - _FIELDS:
        some = nsmallest(MOST_ERRORS, unknown)
        raise invalid(*(FieldError(name, "is not a field of a rule") for name in some))
    return {name: value for name, value in {**stored, **patch}.items() if value is not None}

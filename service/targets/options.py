"""Checks options as people write them against those that the target takes."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from scoring.scorecards.validation_errors import explain_fault
from service.targets import target_of

LARGEST_OPTIONS = 16_384

_AT = re.compile(r"(?P<problem>.*?)(?: - at `\$(?P<path>.*)`)?", re.DOTALL)
_NAMED = re.compile(r"Object (?P<problem>missing required|contains unknown) field `(?P<name>.*)`", re.DOTALL)


class InvalidOptionsError(ValueError):
    """Options that the target can't use; `field` is the path of the one at fault."""

    def __init__(self, field: str, problem: str) -> None:
        """`problem` says what is allowed."""
        super().__init__(f"{field} {problem}")
        self.field = field
        self.problem = problem


def options_text(target: str, options: Mapping[str, Any] | None) -> bytes | None:
    """The JSON text of a target's options to store, None if there are none.

    Raises `InvalidOptionsError` if the target doesn't take them.
    """
    kind = target_of(target).options
    try:
        text = msgspec.json.encode(options or {})
        msgspec.json.decode(text, type=kind)
    except msgspec.ValidationError as error:
        raise _to_invalid_options(error, target, kind) from None
    if len(text) > LARGEST_OPTIONS:
        raise InvalidOptionsError("options", f"must not exceed {LARGEST_OPTIONS:,} bytes")
    return text if options else None


def _to_invalid_options(error: msgspec.ValidationError, target: str, kind: type[msgspec.Struct]) -> InvalidOptionsError:
    match = _AT.fullmatch(str(error))
    assert match
    field, problem = f"options{match['path'] or ''}", match["problem"]
    named = _NAMED.fullmatch(problem)
    if named is None:
        problem = explain_fault(error, kind)
        return InvalidOptionsError(field, f"{problem[:1].lower()}{problem[1:]}")
    allowed = f"{target} takes {', '.join(each.encode_name for each in msgspec.structs.fields(kind)) or 'no options'}"
    what = "is required" if named["problem"].startswith("missing") else "is unknown"
    return InvalidOptionsError(f"{field}.{named['name']}", f"{what}: {allowed}" if not match["path"] else what)

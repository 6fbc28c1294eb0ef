"""What msgspec says about a value that can't be used, as the field at fault and what is allowed there."""

import re

import msgspec

_NAMED = re.compile(r"(?:missing required|contains unknown) field `(.+?)`")


def fault_of(error: msgspec.ValidationError, whole: str) -> tuple[str, str]:
    """The path of the field at fault, `measures[0].weight`, and the message; `whole` names the value itself."""
    message, _, path = str(error).partition(" - at `")
    path = path.removeprefix("key` in `").rstrip("`").removeprefix("$").lstrip(".")
    if named := _NAMED.search(message):
        path = f"{path}.{named.group(1)}" if path else named.group(1)
    return path or whole, message

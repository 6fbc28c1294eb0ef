"""Turns validation errors of msgspec into the field at fault and the values allowed there."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from msgspec import inspect

_NAMED = re.compile(r"(?:missing required|contains unknown) field `(.+?)`")
_STEP = re.compile(r"\[[^\]]*\]|[^.\[\]]+")
_NOT_ONE_OF = ("Invalid enum value", "Invalid value")


def fault_of(error: msgspec.ValidationError, whole: str, declared: Any = None) -> tuple[str, str]:
    """The path of the field at fault, `measures[0].weight`, and the message; `whole` names the value itself.

    Given the declared type, the message lists the allowed values if there are only some.
    """
    message, _, path = str(error).partition(" - at `")
    path = path.removeprefix("key` in `").rstrip("`").removeprefix("$").lstrip(".")
    if message.startswith(_NOT_ONE_OF) and declared is not None:
        message += _allowed(inspect.type_info(declared), _STEP.findall(path))
    if named := _NAMED.search(message):
        path = f"{path}.{named.group(1)}" if path else named.group(1)
    return path or whole, message


def explain_fault(error: msgspec.ValidationError, declared: Any) -> str:
    """The fault of a value that should have the declared type, and the allowed values."""
    return fault_of(error, "", declared)[1]


def _allowed(info: inspect.Type, steps: Sequence[str]) -> str:
    found = [str(value) for option in _at(info, steps) for value in _values(option)]
    return f"; one of {', '.join(dict.fromkeys(found))}" if found else ""


def _at(info: inspect.Type, steps: Sequence[str]) -> Iterator[inspect.Type]:
    """Every type that the steps lead to; for the tag of a tagged union, the tags of its structs."""
    for option in _options(info):
        if not steps:
            yield option
        elif isinstance(option, inspect.StructType):
            step, rest = steps[0], steps[1:]
            if step == option.tag_field and not rest:
                yield inspect.LiteralType((option.tag,))
            for field in option.fields:
                if field.encode_name == step:
                    yield from _at(field.type, rest)
        elif isinstance(option, inspect.ListType):
            yield from _at(option.item_type, steps[1:])
        elif isinstance(option, inspect.DictType):
            yield from _at(option.value_type, steps[1:])


def _options(info: inspect.Type) -> Iterator[inspect.Type]:
    if isinstance(info, inspect.Metadata):
        yield from _options(info.type)
    elif isinstance(info, inspect.UnionType):
        for option in info.types:
            yield from _options(option)
    else:
        yield info


def _values(info: inspect.Type) -> tuple[Any, ...]:
    if isinstance(info, inspect.LiteralType):
        return tuple(info.values)
    return tuple(member.value for member in info.cls) if isinstance(info, inspect.EnumType) else ()

"""The fields of a signal's events that a file's columns or constants may fill."""

from functools import cache
from typing import Any, Literal

from msgspec import Struct, inspect, structs

from service.messaging.cloudevents import data_of
from service.messaging.envelope import Envelope
from service.runtime.settings import Signal

FieldKind = Literal["text", "whole", "number", "money", "moment", "day"]

_KINDS: dict[type[inspect.Type], FieldKind] = {
    inspect.StrType: "text",
    inspect.LiteralType: "text",
    inspect.IntType: "whole",
    inspect.FloatType: "number",
    inspect.DecimalType: "money",
    inspect.DateTimeType: "moment",
    inspect.DateType: "day",
}


class Field(Struct, frozen=True):
    """One field of `data` or of the envelope: its kind, and whether events need it."""

    kind: FieldKind
    declared: Any
    """The type that events are checked against."""
    required: bool
    in_data: bool


@cache
def fields_of(signal: Signal) -> dict[str, Field]:
    """Every field of a signal's events that a file may fill, by name; those of the envelope come first."""
    envelope = {field.name: field.type for field in structs.fields(Envelope)}
    fields = {
        name: Field(_kind_of(envelope[name]), envelope[name], name in ("subject", "time"), in_data=False)
        for name in ("subject", "time", "id", "source")
    }
    for field in structs.fields(data_of(signal)):
        fields[field.name] = Field(_kind_of(field.type), field.type, field.required, in_data=True)
    return fields


def _kind_of(declared: Any) -> FieldKind:
    described = inspect.type_info(declared)
    options = described.types if isinstance(described, inspect.UnionType) else (described,)
    # Annotations of a type beside its bounds, for its schema, come wrapped around it.
    plain = (option.type if isinstance(option, inspect.Metadata) else option for option in options)
    return next(_KINDS[type(option)] for option in plain if type(option) in _KINDS)

"""What msgspec says, read as a field and a message."""

from typing import Annotated, Any

import msgspec
import pytest
from msgspec import Meta, Struct

from scoring.faults import fault_of


class Inner(Struct, forbid_unknown_fields=True):
    value: Annotated[int, Meta(ge=0)]


class Outer(Struct, forbid_unknown_fields=True):
    inner: list[Inner]
    by_name: dict[Annotated[str, Meta(max_length=2)], int] = {}


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (7, "whole"),
        ({}, "inner"),
        ({"inner": [], "other": 1}, "other"),
        ({"inner": 1}, "inner"),
        ({"inner": [{"value": 1}, {"value": -1}]}, "inner[1].value"),
        ({"inner": [{}]}, "inner[0].value"),
        ({"inner": [{"value": 1, "other": 1}]}, "inner[0].other"),
        ({"inner": [], "by_name": {"abc": 1}}, "by_name"),
    ],
)
def test_the_field_at_fault_is_named(value: Any, field: str) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(value, Outer)
    named, message = fault_of(caught.value, "whole")
    assert named == field
    assert "`$" not in message

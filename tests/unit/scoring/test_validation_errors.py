"""Validation errors of msgspec, as a field and a message."""

from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta, Struct

from scoring.scorecards.validation_errors import fault_of


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


class Cat(Struct, tag_field="kind", tag="cat"):
    coat: Literal["short", "long"]


class Dog(Struct, tag_field="kind", tag="dog"):
    legs: Literal[3, 4] | None = None


class Home(Struct):
    pets: list[Cat | Dog] = []
    by_name: dict[str, Annotated[Literal["a", "b"], Meta(description="x")] | None] = {}


@pytest.mark.parametrize(
    ("value", "field", "message"),
    [
        (
            {"pets": [{"kind": "cat", "coat": "curly"}]},
            "pets[0].coat",
            "Invalid enum value 'curly'; one of long, short",
        ),
        ({"pets": [{"kind": "dog", "legs": 5}]}, "pets[0].legs", "Invalid enum value 5; one of 3, 4"),
        ({"pets": [{"kind": "cow"}]}, "pets[0].kind", "Invalid value 'cow'; one of cat, dog"),
        ({"by_name": {"x": "c"}}, "by_name[...]", "Invalid enum value 'c'; one of a, b"),
    ],
)
def test_what_is_allowed_is_named_where_only_some_values_are(value: Any, field: str, message: str) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(value, Home)
    assert fault_of(caught.value, "whole", Home) == (field, message)
    assert ";" not in fault_of(caught.value, "whole")[1]

"""Texts are called storable exactly if Postgres takes them, at any depth of a document."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.messaging.cloudevents import decode_binary
from service.messaging.envelope import InvalidEventError
from service.runtime.text import find_unstorable, unstorable_problem

TAKEN_AT = 1_772_712_000_000_000
HEADERS = {
    "ce_specversion": "1.0",
    "ce_id": "e",
    "ce_source": "/app",
    "ce_type": "usage.recorded",
    "ce_subject": "acme",
    "ce_time": "2026-03-05T12:00:00Z",
}
TEXT = st.text(st.sampled_from("a\x00\\u0é"), max_size=8)
DOCUMENTS = st.recursive(
    TEXT | st.integers(0, 9) | st.none() | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
)


def texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [*value, *(text for inner in value.values() for text in texts(inner))]
    return [text for inner in value for text in texts(inner)] if isinstance(value, list) else []


@given(DOCUMENTS, st.booleans())
def test_a_document_is_refused_if_any_text_of_it_is(document: Any, ascii_only: bool) -> None:
    found = find_unstorable(json.dumps(document, ensure_ascii=ascii_only).encode())
    assert (found is not None) == any("\x00" in text for text in texts(document))


def test_the_field_and_the_position_are_named() -> None:
    assert find_unstorable(b'{"a": [1, {"b": "x\\u0000"}]}') == (
        "a[1].b",
        "holds U+0000, a control character, at position 2",
    )
    found = find_unstorable(b'{"a": {"\\u0000": 1}}')
    assert found == ("a", "has a name that holds U+0000, a control character, at position 1")
    assert unstorable_problem("\\u0000") is None


@pytest.mark.parametrize(
    ("header", "value", "field"),
    [
        ({"ce_source": "/s\x00"}, b'{"feature": "login"}', "source"),
        ({"ce_somebodys": "\x00"}, b'{"feature": "login"}', "somebodys"),
        ({}, b'{"feature": "log\\u0000in"}', "data.feature"),
    ],
)
def test_binary_mode_is_looked_at_too(header: dict[str, str], value: bytes, field: str) -> None:
    with pytest.raises(InvalidEventError) as raised:
        decode_binary("usage", HEADERS | header, value, TAKEN_AT)
    assert raised.value.field == field

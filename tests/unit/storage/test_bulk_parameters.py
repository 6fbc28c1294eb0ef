"""Texts that are sent as one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.storage.database.bulk_parameters import SEPARATOR, joined_texts, number_array

TEXTS = st.lists(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1))


@given(TEXTS)
def test_joined_texts_can_be_separated(values: list[str]) -> None:
    text = joined_texts(values)
    assert (text.split(SEPARATOR) if text else []) == values


@given(TEXTS, st.sampled_from(["", SEPARATOR, f"a{SEPARATOR}b", f"{SEPARATOR}a", f"a{SEPARATOR}"]), st.data())
def test_texts_that_could_not_be_separated_are_refused(values: list[str], odd: str, data: st.DataObject) -> None:
    values.insert(data.draw(st.integers(0, len(values))), odd)
    with pytest.raises(ValueError, match="holds their separator"):
        joined_texts(values)


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_refused(odd: float) -> None:
    with pytest.raises(ValueError, match="none, or infinite"):
        number_array([1.5, None, odd])

"""Scores that lists show alike."""

from hypothesis import given
from hypothesis import strategies as st

from service.storage.accounts.listing.projection import is_shown_alike


@given(score=st.floats(0, 100), later=st.floats(0, 100))
def test_what_is_shown_alike_is_the_same_tenth(score: float, later: float) -> None:
    alike = is_shown_alike(score, "red", later, "red")
    assert alike == (int(score * 10) == int(later * 10))
    assert not alike or abs(score - later) < 0.1
    assert not is_shown_alike(score, "red", later, "yellow")
    assert not is_shown_alike(None, "red", later, "red")
    assert not is_shown_alike(score, "red", None, "red")
    assert is_shown_alike(None, "unknown", None, "unknown")

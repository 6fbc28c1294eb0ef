"""The number of candidates that a list reads next: enough by the share of matches so far, and bounded."""

from hypothesis import given
from hypothesis import strategies as st

from service.storage.accounts.listing.planner import SIGNIFICANT_MATCHES, _next_scan_rows

COUNTS = st.integers(1, 100_000)


@given(COUNTS, COUNTS, st.integers(SIGNIFICANT_MATCHES, 100_000))
def test_enough_if_matches_go_on_as_they_began(scanned: int, missing: int, found: int) -> None:
    scanned = max(scanned, found)
    rows = _next_scan_rows(scanned, found, missing, float("inf"))
    assert rows * found / scanned >= missing


@given(COUNTS, COUNTS, st.integers(0, SIGNIFICANT_MATCHES - 1))
def test_few_matches_may_be_an_accident(scanned: int, missing: int, found: int) -> None:
    assert 2 * scanned <= _next_scan_rows(scanned, found, missing, float("inf")) <= 5 * scanned


@given(COUNTS, COUNTS, st.integers(0, 1_000))
def test_none_where_even_luck_would_need_too_many(scanned: int, missing: int, found: int) -> None:
    needed = missing * scanned / (found + found**0.5 + 1)
    assert _next_scan_rows(scanned, found, missing, needed * 0.99) == 0
    assert _next_scan_rows(scanned, found, missing, needed * 1.01) > 0

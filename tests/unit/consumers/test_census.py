"""Labels of counted accounts: never more than the limit, and no account is lost."""

from hypothesis import given
from hypothesis import strategies as st

from consumers.sweep.census import MOST_SEGMENTS, MOST_STAGES, by_kind, by_points
from service.storage.accounts.account_filter import BANDS
from service.storage.accounts.portfolio_counts import PortfolioCell

WORDS = st.one_of(st.none(), st.sampled_from([f"word-{number}" for number in range(60)]))
CELLS = st.lists(
    st.builds(
        PortfolioCell, st.sampled_from(BANDS), WORDS, WORDS, st.one_of(st.none(), st.integers(0, 9)), st.integers(1, 99)
    ),
    max_size=200,
)


@given(CELLS)
def test_labels_are_few_and_no_account_is_lost(cells: list[PortfolioCell]) -> None:
    found = by_kind(cells)
    total = sum(cell.accounts for cell in cells)
    assert sum(found.values()) == sum(by_points(cells).values()) == total
    assert len({segment for _, segment, _ in found} - {"other", "none"}) <= MOST_SEGMENTS
    assert len({stage for _, _, stage in found} - {"other", "none"}) <= MOST_STAGES


def test_the_most_frequent_keep_their_names() -> None:
    cells = [PortfolioCell("red", f"s{number:02}", None, 1, number) for number in range(1, MOST_SEGMENTS + 6)]
    found = by_kind(cells)
    named = {f"s{number:02}" for number in range(6, MOST_SEGMENTS + 6)}
    assert {segment for _, segment, _ in found} == named | {"other"}
    assert found["red", "other", "none"] == 1 + 2 + 3 + 4 + 5
    assert found["red", "s06", "none"] == 6


def test_every_ten_points_are_shown_even_without_accounts() -> None:
    found = by_points([PortfolioCell("green", None, None, 9, 3), PortfolioCell("unknown", None, None, None, 2)])
    assert [points for (points,) in found] == [
        *("00-09", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "70-79", "80-89", "90-100"),
        "none",
    ]
    assert (found[("90-100",)], found[("none",)], found[("00-09",)]) == (3, 2, 0)

"""Outcomes by what a CRM wrote about an account, and when."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from scoring.backtest.attribute_outcomes import SAME_END_DAYS, outcomes_by_attributes
from scoring.backtest.outcomes import Outcome
from scoring.state.calendar import from_day, start_of
from scoring.state.events import AttributesEvent

LOG_ENDS = 20_000


def wrote(day: int, **values: int | None) -> AttributesEvent:
    """Days as attributes, written at noon."""
    shown: dict[str, Any] = {
        name: None if each is None else from_day(each).isoformat() for name, each in values.items()
    }
    return AttributesEvent("a", start_of(day) + 43_200_000_000, day, f"{day}-{sorted(values)}", shown)


def outcomes(*events: AttributesEvent, still_there: bool = False) -> list[tuple[int, bool]]:
    found = outcomes_by_attributes(events, LOG_ENDS, still_there=still_there)
    assert all(outcome.account_id == "a" for outcome in found)
    return [(outcome.day, outcome.churned) for outcome in found]


def test_a_renewal_is_a_date_that_came_while_it_was_in_renews_on() -> None:
    assert outcomes(wrote(100, renews_on=130), wrote(131, renews_on=160), wrote(160, renews_on=190)) == [
        (130, False),
        (160, False),
        (190, False),
    ]


def test_a_date_that_was_moved_before_it_came_is_no_renewal() -> None:
    assert outcomes(wrote(100, renews_on=130), wrote(129, renews_on=170)) == [(170, False)]
    assert outcomes(wrote(100, renews_on=130), wrote(129, renews_on=None)) == []


def test_a_date_that_was_filled_in_later_is_no_renewal() -> None:
    assert outcomes(wrote(140, renews_on=130)) == []
    assert outcomes(wrote(130, renews_on=130)) == []


def test_a_date_that_is_written_again_and_again_counts_once() -> None:
    assert outcomes(*(wrote(day, renews_on=130) for day in range(100, 140))) == [(130, False)]


def test_what_lies_after_the_log_has_not_happened() -> None:
    assert outcomes(wrote(100, renews_on=LOG_ENDS + 1, churned_on=LOG_ENDS + 1)) == []
    last = LOG_ENDS - SAME_END_DAYS
    assert outcomes(wrote(100, renews_on=last, churned_on=None)) == [(last, False)]
    assert outcomes(wrote(100, renews_on=last + 1)) == []


def test_the_account_left_on_the_last_value_of_churned_on() -> None:
    assert outcomes(wrote(100, churned_on=150), wrote(140, churned_on=160)) == [(160, True)]
    assert outcomes(wrote(100, churned_on=150), wrote(140, churned_on=None)) == []
    late = wrote(400, churned_on=150)
    assert outcomes(wrote(100, renews_on=110), late) == [(110, False), (150, True)]


def test_leaving_soon_after_a_renewal_is_not_having_renewed() -> None:
    soon = wrote(140, churned_on=130 + SAME_END_DAYS)
    assert outcomes(wrote(100, renews_on=130), soon) == [(130 + SAME_END_DAYS, True)]
    later = wrote(150, churned_on=131 + SAME_END_DAYS)
    assert outcomes(wrote(100, renews_on=130), later) == [(130, False), (131 + SAME_END_DAYS, True)]
    assert outcomes(wrote(100, renews_on=190), wrote(140, churned_on=150)) == [(150, True)]


def test_an_account_that_has_not_left_is_still_there() -> None:
    assert outcomes(wrote(100, renews_on=130), still_there=True) == [(130, False), (LOG_ENDS, False)]
    assert outcomes(wrote(100, churned_on=150), still_there=True) == [(150, True)]
    assert outcomes_by_attributes([], LOG_ENDS, still_there=True) == []


@given(
    st.permutations([wrote(100, renews_on=130), wrote(131, renews_on=160), wrote(155, churned_on=170, renews_on=None)])
)
def test_the_order_of_events_does_not_matter(events: list[AttributesEvent]) -> None:
    assert outcomes_by_attributes(events, LOG_ENDS, still_there=True) == [
        Outcome("a", 130, churned=False),
        Outcome("a", 170, churned=True),
    ]

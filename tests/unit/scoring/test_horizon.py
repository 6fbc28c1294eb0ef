"""Decisions on a regular beat: windows of the log, and what is known of accounts in them."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from scoring.backtest.horizon import TOO_SHORT, Timing, decide_by_horizon
from scoring.backtest.outcomes import Decision, Decisions, LeftOut, Lifetime, Outcome

LIVED = {"a": Lifetime(100, 160)}
LOG_ENDS = 170


def made(*outcomes: Outcome) -> list[Decision]:
    return decide_by_horizon(outcomes, LIVED, LOG_ENDS, lead_days=3, horizon_days=20).made


def stayed(day: int, last: int) -> Decision:
    return Decision("a", day, Outcome("a", last, churned=False))


def test_an_account_that_stayed_is_looked_at_before_each_window() -> None:
    # Windows 151 to 170, 131 to 150, 111 to 130, each looked at three days before it begins.
    assert made(Outcome("a", LOG_ENDS, churned=False)) == [stayed(108, 130), stayed(128, 150), stayed(148, 170)]


def test_nothing_is_known_after_the_last_outcome() -> None:
    assert made(Outcome("a", 120, churned=False), Outcome("a", 150, churned=False)) == [
        stayed(108, 130),
        stayed(128, 150),
    ]
    assert made(Outcome("a", 149, churned=False)) == [stayed(108, 130)]


def test_an_account_leaves_in_one_window_and_is_not_looked_at_again() -> None:
    for day in (131, 140, 150):
        left = Outcome("a", day, churned=True)
        assert made(left) == [stayed(108, 130), Decision("a", 128, left)]


def test_an_account_that_leaves_before_the_window_begins_was_looked_at_too_late() -> None:
    assert made(Outcome("a", 130, churned=True))[-1] == Decision("a", 108, Outcome("a", 130, churned=True))
    assert made(Outcome("a", 110, churned=True)) == []


def test_accounts_without_a_decision_are_left_out_with_their_reason() -> None:
    early, unknown = Outcome("a", 101, churned=True), Outcome("b", 150, churned=False)
    found = decide_by_horizon([early, unknown], LIVED, LOG_ENDS, lead_days=3, horizon_days=20)
    assert found.left_out == [
        LeftOut(early, "the account had no event yet on the day of the decision"),
        LeftOut(unknown, "the log has no event of this account"),
    ]
    short = Outcome("a", 125, churned=False)
    assert decide_by_horizon([short], LIVED, LOG_ENDS, lead_days=3, horizon_days=20).left_out == [
        LeftOut(short, TOO_SHORT)
    ]


def test_without_a_horizon_every_outcome_has_its_own_decision() -> None:
    outcome = Outcome("a", 130, churned=False)
    assert Timing(3).decide([outcome], LIVED, LOG_ENDS) == Decisions([Decision("a", 127, outcome)], [])


@given(
    st.lists(st.tuples(st.integers(80, 190), st.booleans()), min_size=1, max_size=5),
    st.integers(1, 40),
    st.integers(1, 40),
)
def test_decisions_know_nothing_of_their_window_and_windows_do_not_overlap(
    given_outcomes: list[tuple[int, bool]], lead_days: int, horizon_days: int
) -> None:
    outcomes = [Outcome("a", day, churned) for day, churned in dict(given_outcomes).items()]
    end = max(outcomes, key=lambda outcome: outcome.day)
    found = decide_by_horizon(outcomes, LIVED, LOG_ENDS, lead_days=lead_days, horizon_days=horizon_days).made
    days = [decision.day for decision in found]
    assert all(later - day == horizon_days for day, later in pairwise(days))
    for decision in found:
        first = decision.day + lead_days
        assert decision.day >= LIVED["a"].first
        assert first <= decision.outcome.day <= min(first + horizon_days - 1, LOG_ENDS, end.day)
        assert decision.outcome.churned == (end.churned and decision is found[-1] and decision.outcome == end)
    assert sum(decision.outcome.churned for decision in found) <= 1

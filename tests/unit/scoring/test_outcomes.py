"""Decisions before outcomes: each knows only what was known on its day."""

import pytest

from scoring.backtest.outcomes import Decision, Lifetime, Outcome, OutcomesError, decide

LIVED = {"a": Lifetime(100, 160), "b": Lifetime(150, 155)}
LOG_ENDS = 170


def reasons(*outcomes: Outcome) -> list[str]:
    return [each.reason for each in decide(outcomes, LIVED, LOG_ENDS, lead_days=3).left_out]


def test_a_decision_is_made_so_many_days_before_its_outcome() -> None:
    stayed, left = Outcome("a", 130, churned=False), Outcome("a", 161, churned=True)
    assert decide([left, stayed, left], LIVED, LOG_ENDS, lead_days=3).made == [
        Decision("a", 127, stayed),
        Decision("a", 158, left),
    ]


def test_the_first_day_and_the_last_one_of_the_log_are_in_it() -> None:
    assert reasons(Outcome("a", 103, churned=True), Outcome("a", LOG_ENDS, churned=False)) == []


def test_what_cannot_be_decided_is_left_out_with_its_reason() -> None:
    assert reasons(
        Outcome("a", 102, churned=True),
        Outcome("b", LOG_ENDS + 1, churned=False),
        Outcome("c", 150, churned=False),
    ) == [
        "the account had no event yet on the day of the decision",
        "it lies after the end of the log",
        "the log has no event of this account",
    ]


def test_an_account_that_both_left_and_stayed_on_a_day_is_a_mistake() -> None:
    with pytest.raises(OutcomesError, match=r"Account a both churned and stayed on 1970-05-11\. Keep one"):
        decide([Outcome("a", 130, churned=True), Outcome("a", 130, churned=False)], LIVED, LOG_ENDS, lead_days=3)

"""The area under the ROC curve against its definition by pairs, and what its intervals are of."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.backtest.discrimination import auc, auc_interval, difference_interval, wilson

SCORES = st.sampled_from([0.0, 10.0, 10.0, 55.5, 70.0, 100.0])
DECISIONS = st.lists(st.tuples(SCORES, st.booleans(), st.integers(0, 3)), max_size=12)


def by_pairs(decisions: list[tuple[float, bool, int]]) -> float:
    """The share of all pairs in which the one that churned had the lower score."""
    pairs = [
        (gone, stayed, one * other)
        for gone, churned, one in decisions
        if churned
        for stayed, churned_too, other in decisions
        if not churned_too
    ]
    total = sum(weight for *_, weight in pairs)
    won = sum(weight * (1.0 if gone < stayed else 0.5 if gone == stayed else 0.0) for gone, stayed, weight in pairs)
    return won / total if total else math.nan


@given(DECISIONS)
def test_it_is_the_share_of_pairs_in_the_right_order(decisions: list[tuple[float, bool, int]]) -> None:
    scores, churned, weights = zip(*decisions, strict=True) if decisions else ((), (), ())
    assert auc(scores, churned, weights) == pytest.approx(by_pairs(decisions), nan_ok=True)
    alike = [(score, left, 1) for score, left, _ in decisions]
    assert auc(scores, churned) == pytest.approx(by_pairs(alike), nan_ok=True)


@given(DECISIONS)
def test_a_score_turned_round_ranks_the_other_way(decisions: list[tuple[float, bool, int]]) -> None:
    scores, churned = [score for score, _, _ in decisions], [left for _, left, _ in decisions]
    turned = [-score for score in scores]
    assert auc(turned, churned) == pytest.approx(1 - auc(scores, churned), nan_ok=True)


def portfolio(accounts: int, each: int, better: float) -> tuple[list[float], list[bool], list[str]]:
    """Accounts with some decisions each, of which a fifth churn, with scores that are `better` at it or worse."""
    chance = np.random.default_rng(7)
    left = np.repeat(chance.random(accounts) < 0.2, each)
    scores = np.repeat(chance.normal(size=accounts), each) - better * left
    return scores.tolist(), left.tolist(), [str(number // each) for number in range(accounts * each)]


def test_decisions_of_one_account_count_as_one_piece_of_evidence() -> None:
    """Many looks at few accounts know no more than one look at each: by decision the interval would be a third."""
    one, many = auc_interval(*portfolio(80, 1, 1.0)), auc_interval(*portfolio(80, 9, 1.0))
    assert many.high - many.low == pytest.approx(one.high - one.low, rel=0.15)
    assert one.low < one.estimate < one.high


def test_a_score_that_knows_nothing_has_an_interval_around_chance() -> None:
    low, high = auc_interval(*portfolio(300, 2, 0.0))[1:]
    assert low < 0.5 < high


def test_the_difference_of_two_scores_is_surer_than_either() -> None:
    scores, churned, accounts = portfolio(200, 2, 1.0)
    slightly = [score - 0.02 * index % 0.1 for index, score in enumerate(scores)]
    single, difference = (
        auc_interval(scores, churned, accounts),
        difference_interval(scores, slightly, churned, accounts),
    )
    assert difference.high - difference.low < (single.high - single.low) / 2
    assert difference.estimate == pytest.approx(auc(scores, churned) - auc(slightly, churned))


def test_without_both_outcomes_there_is_nothing_to_rank() -> None:
    for churned in ([False, False], [True, True]):
        assert all(map(math.isnan, auc_interval([1.0, 2.0], churned, ["a", "b"])))


def test_the_interval_of_a_share_is_wilsons() -> None:
    """From Newcombe, Statistics in Medicine 17 (1998), table I, method 3."""
    assert wilson(81, 263)[1:] == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(15, 148)[1:] == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson(0, 20)[1:] == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson(1, 29)[1:] == pytest.approx((0.0061, 0.1718), abs=5e-5)
    assert all(map(math.isnan, wilson(0, 0)))

"""Samples of decisions for fits: those who left are kept, the probabilities are those of all, and memory is bounded."""

import tracemalloc

import numpy as np
import pytest

from scoring.backtest.calibration.fit import fit
from scoring.backtest.calibration.readings import Readings
from scoring.backtest.calibration.sample import sample
from scoring.backtest.calibration.solver import expit
from scoring.backtest.discrimination import auc, auc_interval, difference_interval
from tests.support.calibrating import HELPS, portfolio


def test_few_decisions_are_all_taken() -> None:
    known = portfolio(100)
    found, constant = sample(known, most=200)
    assert found is known
    assert constant == 0


@pytest.mark.parametrize(("churning", "most", "kept"), [(30, 500, 30), (900, 1000, 500), (1000, 1500, 750)])
def test_those_who_left_are_kept_as_far_as_they_fill_up_half(churning: int, most: int, kept: int) -> None:
    known = portfolio(1000, churning=churning)
    found, constant = sample(known, most=most)
    assert len(found.churned) == most
    assert found.churned.sum() == kept
    stayed, gone = most - kept, kept
    assert constant == pytest.approx(np.log((2000 - churning) / stayed / (churning / gone)))
    assert sorted(zip(found.accounts, found.days, strict=True)) == list(zip(found.accounts, found.days, strict=True))
    again, _ = sample(known, most=most)
    np.testing.assert_array_equal(again.values, found.values)


def test_one_outcome_alone_can_be_more_than_all() -> None:
    known = portfolio(1000, each=1, churning=990)
    found, _ = sample(known, most=500)
    assert (found.churned.sum(), len(found.churned)) == (490, 500)


def test_a_fit_to_a_sample_gives_the_probabilities_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    known = portfolio(3000, (2.0, 0.0, 0.0, 0.0), churning=150, seed=2)
    whole = fit(known)
    monkeypatch.setattr(
        "scoring.backtest.calibration.fit.sample", lambda known, seed: sample(known, most=600, seed=seed)
    )
    sampled = fit(known)
    assert sampled.constant != whole.constant
    assert known.candidates[sampled.parts[0].shape.column] == HELPS
    found = sampled.log_odds(known.values)
    assert (1 - expit(found)).sum() == pytest.approx(150, rel=0.25)
    assert auc(found, known.churned) == pytest.approx(auc(whole.log_odds(known.values), known.churned), abs=0.02)


def test_a_fit_where_all_stayed_says_nothing() -> None:
    known = portfolio(100)
    found = fit(known.rows(~known.churned))
    assert found.parts == []
    assert not found.log_odds(known.values).any()


def test_the_intervals_of_many_decisions_need_little_memory() -> None:
    """All resamples at once would take 160 MB."""
    scores = np.random.default_rng(1).random(20_000)
    left, accounts = scores < 0.05, [str(number) for number in range(20_000)]
    tracemalloc.start()
    auc_interval(scores, left, accounts)
    difference_interval(scores, -scores, left, accounts)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40_000_000


def test_single_precision_is_kept_and_says_the_same() -> None:
    known = portfolio(150, churning=40)
    single = known._replace(values=known.values.astype(np.float32))
    assert isinstance(single, Readings)
    one, other = fit(known), fit(single)
    assert [part.shape.column for part in one.parts] == [part.shape.column for part in other.parts]
    np.testing.assert_allclose(one.log_odds(known.values), other.log_odds(single.values), atol=0.01)

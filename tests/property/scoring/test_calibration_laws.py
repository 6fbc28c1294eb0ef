"""Laws of calibration: monotone curves, a score that is an affine map of the log-odds, and nothing from later days."""

from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scoring.backtest.calibration.candidates import candidates, read
from scoring.backtest.calibration.card import document_of, scale_of
from scoring.backtest.calibration.fit import Fit, fit_path
from scoring.backtest.calibration.folds import Scorer, by_time, folds, out_of_fold
from scoring.backtest.calibration.probability import Logistic, bands_of, calibration_table, logistic_map
from scoring.backtest.calibration.readings import Readings, read_account, readings
from scoring.backtest.calibration.solver import Array, expit, largest_penalty, solve
from scoring.backtest.outcomes import Decision, Outcome
from scoring.backtest.replay import replay_scores
from scoring.history.day_by_day import with_due_pending
from scoring.rules.policy import Policy
from scoring.scorecards.document import parse
from scoring.scorecards.measure import Missing
from scoring.scorecards.scorecard import compile_scorecard, score
from scoring.state.calendar import day_of, start_of
from scoring.state.events import Event
from tests.property.scoring.test_forecast import RETENTION, policies
from tests.support.calibrating import CANDIDATES, portfolio
from tests.support.strategies import histories

EFFECTS = st.tuples(*[st.floats(-2, 2).map(lambda size: round(size, 2)) for _ in range(4)])
PORTFOLIOS = st.builds(
    portfolio,
    st.integers(40, 80),
    EFFECTS,
    missing=st.sampled_from([0.0, 0.1, 0.5]),
    churning=st.integers(5, 20),
    seed=st.integers(0, 1000),
)
PENALTIES = st.sampled_from([0.5, 0.25, 0.1, 0.03])


def fitted(known: Readings, penalty: float, at_most: int = 10) -> Fit:
    return fit_path(known, [penalty], at_most)[0]


@settings(max_examples=30)
@given(PORTFOLIOS, PENALTIES)
def test_every_curve_goes_one_way(known: Readings, penalty: float) -> None:
    for part in fitted(known, penalty).parts:
        values, heights = zip(*part.points, strict=True)
        assert list(values) == sorted(set(values))
        assert list(heights) == sorted(heights, reverse=not part.shape.rising)
        assert min(heights) == pytest.approx(0, abs=1e-9)
        assert max(heights) == pytest.approx(part.range)


@settings(max_examples=30)
@given(PORTFOLIOS, PENALTIES)
def test_the_score_of_the_document_is_an_affine_map_of_the_log_odds(known: Readings, penalty: float) -> None:
    found = fitted(known, penalty)
    if not found.parts:
        return
    document = document_of(found, known.candidates)
    assert parse(msgspec.to_builtins(document), RETENTION) == document
    card = compile_scorecard(document, 1)
    expected = scale_of(found).score(found.log_odds(known.values))
    columns = [part.shape.column for part in found.parts][: len(document.measures)]
    for row, wanted in zip(known.values[:, columns].tolist(), expected.tolist(), strict=True):
        given_ = [Missing.NO_USAGE if np.isnan(value) else value for value in row]
        assert score(given_, card, 18_000).score == pytest.approx(wanted, abs=0.15)


@settings(max_examples=30)
@given(PORTFOLIOS, PENALTIES, st.integers(1, 5))
def test_there_are_at_most_so_many_measures_and_none_twice(known: Readings, penalty: float, at_most: int) -> None:
    columns = [part.shape.column for part in fitted(known, penalty, at_most).parts]
    assert len(columns) == len(set(columns)) <= at_most


STEPS = st.tuples(st.integers(0, 1000), st.integers(1, 12)).map(
    lambda drawn: (
        np.random.default_rng(drawn[0]).random((80, drawn[1])),
        (np.random.default_rng(drawn[0]).random(80) < 0.8).astype(float),
    )
)


@given(STEPS, st.floats(0.01, 1.5), st.floats(0.01, 1.5))
def test_more_penalty_leaves_less(drawn: tuple[Array, Array], one: float, other: float) -> None:
    steps, stayed = drawn
    largest = largest_penalty(steps, stayed)
    less, more = (solve(steps, stayed, largest * share).heights.sum() for share in sorted((one, other)))
    assert more <= less + 1e-3
    if max(one, other) >= 1:
        assert more == 0


@given(STEPS, st.floats(0.01, 1.0))
def test_a_solution_is_where_nothing_pulls(drawn: tuple[Array, Array], share: float) -> None:
    """The conditions of Karush, Kuhn and Tucker, and the right number of outcomes."""
    steps, stayed = drawn
    penalty = largest_penalty(steps, stayed) * share
    constant, heights = solve(steps, stayed, penalty)
    residuals = stayed - expit(constant + steps @ heights)
    pull = steps.T @ residuals / len(stayed) - 1e-4 * heights - penalty
    assert residuals.mean() == pytest.approx(0, abs=1e-4)
    assert heights.min() >= 0
    assert pull.max() <= 1e-4
    assert pull[heights > 0] == pytest.approx(0, abs=1e-4)


@settings(max_examples=10)
@given(st.data(), PORTFOLIOS)
def test_the_order_of_decisions_makes_no_difference(data: st.DataObject, known: Readings) -> None:
    decisions = [
        Decision(str(account), int(day), Outcome(str(account), int(outcome_day), bool(left)))
        for account, day, outcome_day, left in zip(
            known.accounts, known.days, known.outcome_days, known.churned, strict=True
        )
    ]
    order = data.draw(st.permutations(range(len(decisions))))
    values = known.values.tolist()
    again = readings(CANDIDATES, [decisions[row] for row in order], [values[row] for row in order])
    assert again.candidates == known.candidates
    for one, other in zip(again[1:], known[1:], strict=True):
        np.testing.assert_array_equal(one, other)


@given(PORTFOLIOS, st.integers(2, 6), st.integers(0, 9))
def test_no_account_is_scored_by_a_fit_that_saw_it(known: Readings, count: int, seed: int) -> None:
    def learn(seen: Readings) -> Scorer:
        accounts = set(seen.accounts.tolist())
        return lambda held: np.array([account in accounts for account in held.accounts.tolist()], float)

    assert not out_of_fold(known, learn, count=count, seed=seed).any()
    fold_of = folds(known.accounts, known.churned, count, seed)
    gone = np.bincount(fold_of[known.churned], minlength=count)
    assert gone.max() - gone.min() <= 1


@given(PORTFOLIOS, st.integers(17_990, 18_080))
def test_a_split_by_time_learns_from_what_was_known_by_then(known: Readings, cut: int) -> None:
    seen: list[Readings] = []

    def learn(past: Readings) -> Scorer:
        seen.append(past)
        return lambda held: held.days.astype(float)

    later, scores = by_time(known, learn, cut)
    assert (seen[0].outcome_days < cut).all()
    assert (scores >= cut).all()
    assert later.sum() == len(scores) == (known.days >= cut).sum()


@given(st.data(), histories(RETENTION), policies())
def test_readings_are_those_of_the_day_and_know_nothing_later(
    data: st.DataObject, events: list[Event], policy: Policy
) -> None:
    """They are what the live service would have read at the end of the day."""
    if not events:
        return
    first, last = (day_of(pick(event.at for event in events)) for pick in (min, max))
    days = sorted(data.draw(st.sets(st.integers(first, last + 3), min_size=1, max_size=4)))
    wanted = candidates({"login": 3, "report": 2}, RETENTION, windows=(3, 7))
    found = read_account(data.draw(st.permutations(events)), wanted, days, RETENTION)
    readers = [candidate.reader() for candidate in wanted]
    for day, row in zip(days, found, strict=True):
        known = [event for event in events if day_of(event.at) <= day]
        np.testing.assert_array_equal(row, read_account(known, wanted, [day], RETENTION)[0])
        state = replay_scores(known, policy, start_of(day + 1) - 1).state
        np.testing.assert_array_equal(row, read(readers, with_due_pending(state, day), day))


@given(st.lists(st.tuples(st.floats(0, 100), st.booleans()), min_size=2, max_size=60))
def test_a_map_to_probabilities_is_monotone_and_right_on_average(decisions: list[tuple[float, bool]]) -> None:
    scores, churned = [round(value, 1) for value, _ in decisions], np.array([left for _, left in decisions])
    mapping = logistic_map(scores, churned)
    found = mapping.probability(np.sort(scores))
    assert (np.diff(found) <= 1e-12).all() if mapping.slope <= 0 else (np.diff(found) >= -1e-12).all()
    drawn = np.where(churned, (churned.sum() + 1) / (churned.sum() + 2), 1 / ((~churned).sum() + 2))
    assert found.mean() == pytest.approx(drawn.mean(), abs=1e-6)
    groups = calibration_table(scores, churned, mapping)
    assert sum(group.decisions for group in groups) == len(scores)
    assert sum(group.churned for group in groups) == churned.sum()
    assert all(one.highest < other.lowest for one, other in pairwise(groups))


@example(0.0, -5e-324, 0.1)  # scores that hardly rank: the limits lie outside all numbers
@given(st.floats(-6, 6), st.floats(-0.3, 0.1), st.floats(0.001, 0.999))
def test_bands_of_any_map_rise(intercept: float, slope: float, base_rate: float) -> None:
    bands = bands_of(Logistic(intercept, slope), base_rate)
    assert bands.red == 0 < bands.yellow < bands.green <= 100


@pytest.mark.parametrize(("base_rate", "red"), [(0.02, 0.04), (0.3, 0.6), (0.4, 0.7), (0.8, 0.9)])
def test_red_is_from_twice_the_base_rate_while_there_is_such_a_probability(base_rate: float, red: float) -> None:
    mapping = Logistic(6.0, -0.12)
    bands = bands_of(mapping, base_rate)
    assert mapping.probability([bands.yellow, bands.green]) == pytest.approx([red, base_rate / 2], abs=0.002)

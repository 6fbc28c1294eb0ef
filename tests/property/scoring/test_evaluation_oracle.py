"""Scores equal what the events and the document say, add up, and stay within bounds."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.history.day_by_day import evaluate_now
from scoring.rules.policy import Policy
from scoring.scorecards.catalogue import CATALOGUE
from scoring.scorecards.document import parse
from scoring.scorecards.scorecard import Evaluation, Scorecard, compile_scorecard, evaluate
from scoring.scorecards.selection import in_order
from scoring.state.account_state import AccountState
from scoring.state.calendar import start_of
from tests.support import oracle_scores
from tests.support.folding import encoded, folded, settled
from tests.support.oracle import Document
from tests.support.strategies import batches, days_after, histories, in_log_order
from tests.support.strategies_scorecards import entries, parameters, scorecards

RETENTION = 30


def compiled(document: Document) -> Scorecard:
    return compile_scorecard(parse(document, RETENTION), 1)


def near(expected: Fraction | None) -> object:
    return None if expected is None else pytest.approx(float(expected), rel=1e-12, abs=2e-9)


def contributions(evaluation: Evaluation) -> dict[str, float]:
    return {
        name: result.contribution for name, result in evaluation.measures.items() if result.contribution is not None
    }


@st.composite
def catalogues(draw: st.DrawFn) -> Document:
    """A scorecard with every measure there is, each with a weight, curve, policy for missing data and maybe a veto."""
    measures: list[dict[str, Any]] = []
    for measure in CATALOGUE:
        drawn = draw(entries(RETENTION, measure))
        kept: dict[str, Any] = {name: drawn[name] for name in ("weight", "curve", "missing", "veto") if name in drawn}
        measures.append({"measure": measure, **kept, **draw(parameters(RETENTION, measure))})
    measures[0]["weight"] = measures[0]["weight"] or 1
    return {"name": "default", "measures": measures, "min_coverage": draw(st.sampled_from([0, 0.3]))}


@given(st.data(), scorecards(RETENTION) | catalogues())
def test_an_evaluation_equals_the_oracle(data: st.DataObject, document: Document) -> None:
    events = in_log_order(data.draw(histories(RETENTION, span=data.draw(st.sampled_from([5, 60])))))
    day = data.draw(days_after(events))
    state = settled(folded(data.draw(batches(events)), RETENTION), day)
    expected = oracle_scores.evaluate(document, events, day, RETENTION)
    evaluation = evaluate(compiled(document), state, day)
    assert evaluation.score == near(expected.score)
    assert evaluation.band == expected.band
    assert evaluation.coverage == near(expected.coverage)
    assert contributions(evaluation) == {name: near(points) for name, points in expected.contributions.items()}
    for name, value in expected.values.items():
        result = evaluation.measures[name]
        assert result.score == near(expected.scores[name])
        assert (result.missing or result.value) == (value if isinstance(value, str) else near(value))


@given(st.data(), scorecards(RETENTION))
def test_contributions_sum_to_the_score_which_is_0_to_100(data: st.DataObject, document: Document) -> None:
    events = data.draw(histories(RETENTION))
    day = data.draw(days_after(events))
    evaluation = evaluate(compiled(document), settled(folded([events] if events else [], RETENTION), day), day)
    assert 0 <= evaluation.coverage <= 1
    if evaluation.score is None:
        assert evaluation.band == "unknown"
        assert contributions(evaluation) == {}
        return
    assert 0 <= evaluation.score <= 100
    assert sum(contributions(evaluation).values()) == pytest.approx(evaluation.score, abs=1e-9)


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=8), st.integers(0, 100))
def test_measures_that_agree_give_their_score_and_its_band(hundredths: list[int], score: int) -> None:
    measures = [
        {"measure": "open_tickets", "name": f"m{index}", "weight": weight / 100, "curve": [[0, score]]}
        for index, weight in enumerate(hundredths)
    ]
    bands = {"red": 0, "yellow": max(1, score - 1), "green": max(2, score)}
    evaluation = evaluate(
        compiled({"name": "default", "measures": measures, "bands": bands, "min_coverage": 1}), AccountState(), 0
    )
    assert evaluation.score == score
    assert evaluation.coverage == 1
    assert evaluation.band == ("green" if score >= 2 else "yellow" if score else "red")


@given(st.data(), scorecards(RETENTION))
def test_judging_takes_in_what_is_due_and_leaves_the_state_alone(data: st.DataObject, document: Document) -> None:
    events = data.draw(histories(RETENTION))
    day = data.draw(days_after(events))
    state = folded([events] if events else [], RETENTION)
    before = encoded(state)
    card = compiled(document)
    policy = Policy(in_order([card]), retention=RETENTION)
    assert evaluate_now(state, policy, start_of(day)) == evaluate(card, settled(state, day), day)
    assert encoded(state) == before

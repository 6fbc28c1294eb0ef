"""A veto caps the score, says by how much, and does nothing else."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.scorecards.document import parse
from scoring.scorecards.scorecard import VETO, Evaluation, compile_scorecard, evaluate
from scoring.state.account_state import AccountState
from tests.support.folding import folded, settled
from tests.support.strategies import days_after, histories
from tests.support.strategies_scorecards import scorecards

RETENTION = 30


def judged(document: dict[str, Any], state: AccountState, day: int) -> Evaluation:
    return evaluate(compile_scorecard(parse(document, RETENTION), 1), state, day)


@given(st.data(), scorecards(RETENTION))
def test_a_veto_caps_the_score(data: st.DataObject, document: dict[str, Any]) -> None:
    events = data.draw(histories(RETENTION))
    day = data.draw(days_after(events))
    state = settled(folded([events] if events else [], RETENTION), day)
    without = {
        **document,
        "measures": [{k: v for k, v in entry.items() if k != "veto"} for entry in document["measures"]],
    }
    plain, vetoed = judged(without, state, day), judged(document, state, day)
    caps = [
        entry["veto"]["cap"]
        for entry in document["measures"]
        if "veto" in entry
        and (result := plain.measures[entry["name"]]).missing is None
        and result.score is not None
        and result.score < entry["veto"]["below"] - 1e-9
    ]
    shown = {name: result for name, result in vetoed.measures.items() if name.startswith(VETO)}
    assert {**plain.measures, **shown} == vetoed.measures
    if plain.score is None or min(caps, default=100) >= plain.score:
        assert shown == {}
        assert vetoed.score == plain.score
        return
    assert vetoed.score == min(caps)
    assert [result.contribution for result in shown.values()] == [pytest.approx(min(caps) - plain.score, abs=1e-9)]

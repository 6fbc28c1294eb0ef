"""Each account has exactly one scorecard: the lowest rank that is for it, else the default."""

from hypothesis import given
from hypothesis import strategies as st

from scoring.scorecards.document import parse
from scoring.scorecards.scorecard import compile_scorecard
from scoring.scorecards.selection import choose, in_order
from tests.support import oracle_scores
from tests.support.folding import folded, settled
from tests.support.oracle import Document
from tests.support.strategies import days_after, histories
from tests.support.strategies_scorecards import audiences


@given(st.data(), audiences(["alpha", "beta", "gamma", "zeta"]))
def test_the_choice_equals_the_oracle(data: st.DataObject, documents: list[Document]) -> None:
    events = data.draw(histories(92))
    day = data.draw(days_after(events, 600))
    state = settled(folded([events] if events else [], 92), day)
    cards = in_order(compile_scorecard(parse(document, 92), 1) for document in documents)
    assert choose(cards, state, day).name == oracle_scores.choose(documents, events, day, 92)

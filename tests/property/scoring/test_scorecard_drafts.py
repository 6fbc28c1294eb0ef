"""Differences between documents, and overlaps with others: where they are found, there are some."""

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from scoring.scorecards.diff import differences
from scoring.scorecards.document import ScorecardDocument, parse
from scoring.scorecards.lint import overlaps
from scoring.scorecards.scorecard import compile_scorecard
from scoring.scorecards.selection import choose, in_order
from scoring.state.account_state import RETENTION_DAYS
from service.storage.policy.scorecards import digest
from tests.support.facts import TODAY, calendar, state_of, with_attributes
from tests.support.oracle import Document
from tests.support.strategies_scorecards import audiences, calibrated_scorecards


def parsed(written: Document) -> ScorecardDocument:
    return parse(written, RETENTION_DAYS)


@st.composite
def versions(draw: st.DrawFn) -> tuple[ScorecardDocument, ScorecardDocument]:
    """Two documents of one name that differ altogether, in parts, in the order of their measures, or not at all."""
    one, other = draw(calibrated_scorecards(RETENTION_DAYS)), draw(calibrated_scorecards(RETENTION_DAYS))
    mixed = {field: draw(st.sampled_from([one, other]))[field] for field in one}
    measures = draw(st.permutations(mixed["measures"]))
    return parsed(one), parsed({**mixed, "measures": measures})


@given(versions())
def test_without_a_difference_it_is_the_same_version(pair: tuple[ScorecardDocument, ScorecardDocument]) -> None:
    before, after = pair
    assert bool(differences(before, after)) == (digest(before) != digest(after))


@given(versions())
def test_the_way_back_differs_in_the_same_fields(pair: tuple[ScorecardDocument, ScorecardDocument]) -> None:
    there, back = differences(*pair), differences(*reversed(pair))
    assert {(each.field, repr(each.before)) for each in there} == {(each.field, repr(each.after)) for each in back}


EVERYBODY = [
    state_of(with_attributes(0, segment=segment, stage=stage, started_on=None if tenure is None else calendar(tenure)))
    for segment, stage, tenure in product(
        ("smb", "enterprise", None), ("trial", "live", None), (0, 217, 300, 700, None)
    )
]
"""One account of each kind that `audiences` can tell apart."""


@given(audiences(["alpha", "zeta"]))
def test_an_overlap_is_where_an_account_matches_both_at_one_rank_and_nowhere_else(documents: list[Document]) -> None:
    cards = {card.name: card for card in map(parsed, documents)}
    default, alpha, zeta = cards["default"], cards["alpha"], cards["zeta"]
    ranks = {applies_to.rank for card in (alpha, zeta) if (applies_to := card.applies_to)}
    with_alpha, with_zeta = (
        in_order([compile_scorecard(default, 1), compile_scorecard(card, 1)]) for card in (alpha, zeta)
    )
    in_both = [
        state
        for state in EVERYBODY
        if choose(with_alpha, state, TODAY).name == "alpha" and choose(with_zeta, state, TODAY).name == "zeta"
    ]
    tied = bool(in_both) and len(ranks) == 1
    assert bool(overlaps(alpha, [zeta])) == bool(overlaps(zeta, [alpha])) == tied

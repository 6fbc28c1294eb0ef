"""Chooses the scorecard that applies to an account."""

from collections.abc import Iterable, Sequence

from scoring.scorecards.catalogue import CATALOGUE
from scoring.scorecards.document import DEFAULT, AppliesTo
from scoring.scorecards.measure import Missing, Parameters
from scoring.scorecards.scorecard import Scorecard
from scoring.state.account_state import AccountState


def choose(scorecards: Sequence[Scorecard], state: AccountState, day: int) -> Scorecard:
    """The scorecard for an account: the first in rank order that applies, else the default.

    `scorecards` must be in the order of `in_order`.
    """
    for scorecard in scorecards:
        applies_to = scorecard.document.applies_to
        if applies_to is None or _applies(applies_to, state, day):
            return scorecard
    raise AssertionError("in_order guarantees a default")


def in_order(scorecards: Iterable[Scorecard]) -> tuple[Scorecard, ...]:
    """Scorecards by rank and name, the default last. Raises ValueError if there is no default."""
    ranked = sorted(
        scorecards,
        key=lambda card: (card.document.applies_to is None, getattr(card.document.applies_to, "rank", 0), card.name),
    )
    if not ranked or ranked[-1].name != DEFAULT:
        raise ValueError("there is no scorecard named default")
    return tuple(ranked)


_tenure = CATALOGUE["tenure_days"].build(Parameters())


def _applies(applies_to: AppliesTo, state: AccountState, day: int) -> bool:
    value = state.attributes.value
    if applies_to.segments is not None and value("segment") not in applies_to.segments:
        return False
    if applies_to.stages is not None and value("stage") not in applies_to.stages:
        return False
    if applies_to.tenure_days is None:
        return True
    tenure = _tenure(state, day)
    first, last = applies_to.tenure_days
    return not isinstance(tenure, Missing) and first <= tenure <= last

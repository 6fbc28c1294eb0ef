"""Whether the change of a rule moves an account, or its own doing: the one is told in sum, the other by itself."""

from scoring.attributes import churned_on
from scoring.course import settled
from scoring.crossings import Memories, about, see, stepped
from scoring.policy import Policy
from scoring.rules import OK
from scoring.standing import Standing
from scoring.state import AccountState

NONE: frozenset[str] = frozenset()


def moved_by_change(
    state: AccountState, standing: Standing | None, memory: Memories, policy: Policy, now: int
) -> frozenset[str]:
    """The rules in force, by id, whose change makes an account fire, wait or cease, from what stood before this step.

    `state` is as it was before the step's events, `now` is in microseconds.
    """
    if standing is None or not policy.changed:
        return NONE
    card = policy.find(standing.scorecard, standing.version)
    if card is None:
        return NONE
    evaluation, account = standing.evaluation(card), about(state)
    left = churned_on(state.attributes, evaluation.day)
    seen = see(settled(state, evaluation.day), evaluation, standing.override, policy, held=False)
    changed = [(rule, memory.get(rule.id, OK)) for rule in policy.rules if rule.id in policy.changed]
    return frozenset(
        rule.id for rule, last in changed if stepped(rule, last, account, seen, now, left).state != last.state
    )

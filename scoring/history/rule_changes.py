"""Separates crossings caused by a change of their rule, which go into a digest, from the account's own."""

from scoring.history.day_by_day import with_due_pending
from scoring.history.score_run import ScoreRun
from scoring.rules.conditions import OK
from scoring.rules.crossings import Memories, about, observe, stepped
from scoring.rules.policy import Policy
from scoring.state.account_state import AccountState
from scoring.state.attributes import churned_on

NONE: frozenset[str] = frozenset()


def moved_by_change(
    state: AccountState, score_run: ScoreRun | None, memory: Memories, policy: Policy, now: int
) -> frozenset[str]:
    """The ids of rules in force whose change makes an account fire, wait or stop, from its score run before this step.

    `state` is as it was before the step's events, `now` is in microseconds.
    """
    if score_run is None or not policy.changed:
        return NONE
    card = policy.find(score_run.scorecard, score_run.version)
    if card is None:
        return NONE
    evaluation, account = score_run.evaluation(card), about(state)
    left = churned_on(state.attributes, evaluation.day)
    observation = observe(with_due_pending(state, evaluation.day), evaluation, score_run.override, policy, held=False)
    changed = [(rule, memory.get(rule.id, OK)) for rule in policy.rules if rule.id in policy.changed]
    return frozenset(
        rule.id for rule, last in changed if stepped(rule, last, account, observation, now, left).state != last.state
    )

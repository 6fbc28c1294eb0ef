"""Applies an account's rules to its score: which began to fire, and which stopped."""

from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from scoring.rules.conditions import OK, Observation, Rule, RuleMemory, SilenceRule
from scoring.rules.policy import Policy
from scoring.rules.state_machine import close_day, end, ready_at, step, worth_keeping
from scoring.scorecards.catalogue import CATALOGUE
from scoring.scorecards.measure import Missing, Parameters, Value
from scoring.scorecards.override import Override
from scoring.scorecards.scorecard import Evaluation
from scoring.state.account_state import AccountState
from scoring.state.attributes import churned_on

DayClosing = tuple[int, float | None]
"""A finished day and its last score."""

About = tuple[object, object, object]
"""An account's segment, stage and owner."""

Memories = Mapping[str, RuleMemory]
"""Rule memories by rule id; a missing rule is in its initial state."""

silence_ratio = CATALOGUE["silence_ratio"].build(Parameters())


class Crossing(Struct, frozen=True):
    """A rule that began or stopped firing. `bulk` marks crossings of many accounts at once; `by_change` those caused by
    a change of the rule, not by the account.
    """

    rule: Rule
    state: str
    """`firing` or `resolved`."""
    bulk: bool = False
    began_at: int = 0
    """Start of the firing, in microseconds."""
    by_change: bool = False
    churned_on: str | None = None
    """The day on which the account churned, if it has: all its alerts are over."""


class Verdicts(Struct, frozen=True):
    """The new memories, the crossings, and the earliest time that a pending rule may fire (microseconds; 0: none)."""

    memory: dict[str, RuleMemory]
    crossings: list[Crossing]
    ready_at: int = 0


def observe(
    state: AccountState,
    evaluation: Evaluation,
    override: Override | None,
    policy: Policy,
    *,
    held: bool,
    bulk: bool = False,
) -> Observation:
    """The observation that rules are applied to; `state` includes everything pending due by the evaluation's day."""
    score, band = override.over(evaluation) if override else (evaluation.score, evaluation.band)
    asked = any(isinstance(rule.condition, SilenceRule) for rule in policy.rules)
    silence: Value = silence_ratio(state, evaluation.day) if asked else Missing.NO_USAGE
    return Observation(evaluation.day, score, band, silence, held, bulk)


def apply_rules(
    state: AccountState,
    memory: Memories,
    closings: Sequence[DayClosing],
    observation: Observation,
    policy: Policy,
    now: int,
    moved: frozenset[str] = frozenset(),
) -> Verdicts:
    """Step every rule once, after the days closed since; no rule applies to a churned account.

    `state` includes everything pending due by the observed day. Rules in `moved` cross because they were changed.
    """
    account, left = about(state), churned_on(state.attributes, observation.day)
    kept: dict[str, RuleMemory] = {}
    crossings: list[Crossing] = []
    waiting: list[int] = []
    for rule in policy.rules:
        condition = rule.condition
        before = memory.get(rule.id, OK)
        for day, score in closings:
            before = close_day(condition, before, day, score)
        by_change = rule.id in moved
        after = stepped(rule, before, account, replace(observation, bulk=True) if by_change else observation, now, left)
        if worth_keeping(condition, after, now):
            kept[rule.id] = after
        if (before.state == "firing") != (after.state == "firing"):
            crossings.append(_crossing(rule, before, after, left, by_change=by_change))
        if after.state == "pending":
            waiting.append(ready_at(condition, after))
    return Verdicts(kept, [*crossings, *_retire(memory, policy, left)], min(waiting, default=0))


def _crossing(rule: Rule, before: RuleMemory, after: RuleMemory, left: str | None, *, by_change: bool) -> Crossing:
    if after.state == "firing":
        return Crossing(rule, "firing", after.bulk, after.since, by_change)
    return Crossing(rule, "resolved", after.bulk, before.since, by_change, left)


def stepped(
    rule: Rule, memory: RuleMemory, about: About, observation: Observation, now: int, left: str | None
) -> RuleMemory:
    """The next memory of a rule, whether it applies to the account or not; none applies once the account has `left`."""
    applies = left is None and rule.condition.applies(*about)
    return step(rule, memory, observation, now) if applies else end(memory, now)


def about(state: AccountState) -> About:
    """The attributes that decide whether a rule applies to an account."""
    value = state.attributes.value
    return value("segment"), value("stage"), value("owner")


def _retire(memory: Memories, policy: Policy, left: str | None) -> list[Crossing]:
    """Resolve the alerts of rules that are no longer in force."""
    return [
        Crossing(
            policy.retired[rule],
            "resolved",
            began_at=last.since,
            by_change=rule in policy.changed,
            churned_on=left,
        )
        for rule, last in memory.items()
        if rule in policy.retired and last.state == "firing"
    ]

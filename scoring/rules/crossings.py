"""What an account's rules make of its score: which of them began to fire, and which ceased."""

from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from scoring.rules.policy import Policy
from scoring.rules.rules import (
    OK,
    Observation,
    Rule,
    RuleMemory,
    SilenceRule,
    close_day,
    end,
    ready_at,
    step,
    worth_keeping,
)
from scoring.scorecards.measures import CATALOGUE, Missing, Parameters, Value
from scoring.scorecards.override import Override
from scoring.scorecards.scorecard import Evaluation
from scoring.state.account_state import AccountState
from scoring.state.attributes import churned_on

DayClosing = tuple[int, float | None]
"""A day that is over, and its last score."""

About = tuple[object, object, object]
"""An account's segment, stage and owner."""

Memories = Mapping[str, RuleMemory]
"""By rule id; a rule that isn't there is plain ok."""

silence_ratio = CATALOGUE["silence_ratio"].build(Parameters())


class Crossing(Struct, frozen=True):
    """A rule began or ceased to fire. `bulk` says that it fires as did, or will, those of many accounts at once;
    `by_change` that somebody's change of the rule did it, and nothing that the account did.
    """

    rule: Rule
    state: str
    """`firing` or `resolved`."""
    bulk: bool = False
    began_at: int = 0
    """When it began to fire, in microseconds."""
    by_change: bool = False
    churned_on: str | None = None
    """The day on which the account left, if it has: all that fired for it is over."""


class Verdicts(Struct, frozen=True):
    """What the rules remember now, what crossed, and when one that is pending may fire (microseconds; 0: none is)."""

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
    """What rules look at; `state` has been settled up to the evaluation's day."""
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
    """Step every rule once, after the days that closed since; no rule is for an account that has churned.

    `state` has been settled up to the day that is seen. The change of the rules in `moved` moves the account.
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
    """The next memory of a rule, whether it is for the account or not; it isn't if the account has `left`."""
    applies = left is None and rule.condition.applies(*about)
    return step(rule, memory, observation, now) if applies else end(memory, now)


def about(state: AccountState) -> About:
    """What says whether a rule is for an account."""
    value = state.attributes.value
    return value("segment"), value("stage"), value("owner")


def _retire(memory: Memories, policy: Policy, left: str | None) -> list[Crossing]:
    """What rules that are no longer in force had fired is over."""
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

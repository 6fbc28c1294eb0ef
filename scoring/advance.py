"""One step of one account: fold what came, evaluate at a day, let the rules see the score."""

from collections.abc import Mapping, Sequence
from copy import deepcopy

from msgspec import Struct, field

from scoring.choice import choose
from scoring.events import Event
from scoring.rules import OK, Memory, Rule, ready_at, step, worth_keeping
from scoring.scorecards import Evaluation, Scorecard, evaluate
from scoring.state import RETENTION_DAYS, AccountState, fold, settle
from scoring.windows import day_of, start_of


class Policy(Struct, frozen=True):
    """By what accounts are judged: the scorecards in order, the rules, and how many days events are kept."""

    scorecards: tuple[Scorecard, ...]
    rules: tuple[Rule, ...] = ()
    retention: int = RETENTION_DAYS

    def scorecard(self, name: str | None, version: int | None) -> Scorecard | None:
        """That very version, if it is in force."""
        for card in self.scorecards:
            if card.name == name and card.version == version:
                return card
        return None


class Crossing(Struct, frozen=True):
    """A rule began or ceased to fire."""

    rule: Rule
    state: str
    """`firing` or `resolved`."""


class Step(Struct, frozen=True):
    """What a step came to. `due` is when the account must be looked at again, in microseconds, events or not."""

    evaluation: Evaluation
    memory: dict[str, Memory]
    crossings: list[Crossing] = field(default_factory=list)
    late: int = 0
    due: int = 0


def advance(
    state: AccountState, memory: Mapping[str, Memory], events: Sequence[Event], policy: Policy, now: int
) -> Step:
    """Fold `events` into `state`, in place, and judge the account at `now` (microseconds).

    The day is that of `now`, or the newest broker day seen if the clock is behind it.
    """
    late = fold(state, events, policy.retention) if events else 0
    evaluation = judge(state, policy, now)
    due = start_of(evaluation.day + 1)
    if not policy.rules:
        return Step(evaluation, {}, [], late, due)
    remembered, crossings = _apply_rules(state, memory, evaluation, policy, now)
    pending = [
        ready_at(rule.condition, remembered[rule.id])
        for rule in policy.rules
        if rule.id in remembered and remembered[rule.id].state == "pending"
    ]
    return Step(evaluation, remembered, crossings, late, min([due, *pending]))


def judge(state: AccountState, policy: Policy, now: int) -> Evaluation:
    """The evaluation of `state` at `now`, by the scorecard that applies; `state` stays as it is."""
    day = max(day_of(now), state.newest)
    if _has_pending(state):
        state = deepcopy(state)
        settle(state, day)
    return evaluate(choose(policy.scorecards, state, day), state, day)


def _has_pending(state: AccountState) -> bool:
    return bool(state.usage.pending or state.tickets.pending or state.surveys.pending or state.attributes.pending)


def _apply_rules(
    state: AccountState, memory: Mapping[str, Memory], evaluation: Evaluation, policy: Policy, now: int
) -> tuple[dict[str, Memory], list[Crossing]]:
    value = state.attributes.value
    segment, stage, owner = value("segment"), value("stage"), value("owner")
    remembered: dict[str, Memory] = {}
    crossings = []
    for rule in policy.rules:
        condition = rule.condition
        before = memory.get(rule.id, OK)
        applies = condition.applies(segment, stage, owner)
        verdict = condition.verdict(evaluation.score, evaluation.band) if applies else "clear"
        after = step(condition, before, verdict, now)
        if worth_keeping(condition, after, now):
            remembered[rule.id] = after
        if (before.state == "firing") != (after.state == "firing"):
            crossings.append(Crossing(rule, "firing" if after.state == "firing" else "resolved"))
    return remembered, crossings

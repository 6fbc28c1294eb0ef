"""The state machine of an alert rule, which turns verdicts of its condition into crossings.

ok -> pending -> firing -> ok. A rule fires once per episode: it has to clear before it can fire again. An unknown value
neither fires nor clears. A snoozed rule doesn't begin to fire until the snooze is over.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from scoring.rules.conditions import Condition, DropRule, Observation, Rule, RuleMemory, RuleState

_SECOND = 1_000_000


def step(rule: Rule, memory: RuleMemory, observation: Observation, now: int) -> RuleMemory:
    """The next memory at `now` (microseconds). The rule fires when the state enters `firing`, and clears when it leaves
    it.
    """
    condition = rule.condition
    verdict = condition.verdict(memory, observation)
    if memory.state == "firing":
        return _to(memory, "ok", now) if verdict == "clear" else memory
    if verdict != "breach" or observation.held:
        return _to(memory, "ok", now) if memory.state == "pending" else memory
    pending = memory if memory.state == "pending" else _to(memory, "pending", now, bulk=observation.bulk)
    if now < ready_at(condition, pending):
        return pending
    return RuleMemory("firing", now, now, pending.snoozed_until, pending.peaks, pending.bulk)


def end(memory: RuleMemory, now: int) -> RuleMemory:
    """The next memory of a rule that no longer applies to the account or is no longer in force: its alert is over."""
    return memory if memory.state == "ok" else _to(memory, "ok", now)


def _to(memory: RuleMemory, state: RuleState, now: int, *, bulk: bool = False) -> RuleMemory:
    return RuleMemory(state, now, memory.fired_at, memory.snoozed_until, memory.peaks, bulk)


def ready_at(condition: Condition, memory: RuleMemory) -> int:
    """The time in microseconds at which a pending rule may fire: after its dwell, its cooldown and its snooze."""
    dwelt = memory.since + condition.for_seconds * _SECOND
    rested = memory.fired_at + condition.cooldown_seconds * _SECOND if memory.fired_at else 0
    return max(dwelt, rested, memory.snoozed_until)


def snooze(memory: RuleMemory, until: int) -> RuleMemory:
    """The memory of a rule that won't begin to fire before `until`, in microseconds; 0 ends a snooze."""
    return replace(memory, snoozed_until=until)


def close_day(condition: Condition, memory: RuleMemory, day: int, score: float | None) -> RuleMemory:
    """The memory after a day has closed with a score. Only drop rules remember closing scores.

    Among those within reach only the ones matter that no later one equals or exceeds: a maximum over a sliding window.
    """
    if not isinstance(condition, DropRule):
        return memory
    peaks = [peak for peak in memory.peaks if peak[0] > day - condition.days]
    if score is not None:
        peaks = [peak for peak in peaks if peak[1] > score]
        peaks.append((day, score))
    return replace(memory, peaks=tuple(peaks))


def with_earlier_closings(
    condition: Condition, memory: RuleMemory, closings: Sequence[tuple[int, float | None]], live_from: int
) -> RuleMemory:
    """The memory as if the account had closed days before `live_from` with the scores in `closings`, in order of day.

    Only drop rules look back. Nothing else in the memory changes: what fired keeps firing until it is judged again.
    """
    if not isinstance(condition, DropRule):
        return memory
    known = replace(memory, peaks=())
    for day, score in (*closings, *(peak for peak in memory.peaks if peak[0] >= live_from)):
        known = close_day(condition, known, day, score)
    return known


def worth_keeping(condition: Condition, memory: RuleMemory, now: int) -> bool:
    """True if forgetting `memory` would change the rule's later behaviour."""
    rests = memory.fired_at > 0 and now < memory.fired_at + condition.cooldown_seconds * _SECOND
    return memory.state != "ok" or rests or now < memory.snoozed_until or isinstance(condition, DropRule)

"""Alert rules: conditions over an account's score, and the state machine that turns them into crossings.

ok -> pending -> firing -> ok. A rule fires once per episode: it has to clear before it can fire again. An unknown score
neither fires nor clears.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from scoring.documents import Problem, Score, Word
from scoring.scorecards import Band

State = Literal["ok", "pending", "firing"]
Verdict = Literal["breach", "clear", "between", "unknown"]
KnownBand = Literal["green", "yellow", "red"]
Seconds = Annotated[int, Meta(ge=0, le=31_536_000)]


class RuleFilter(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What every kind of rule has: whom it is for, how long a breach must last, how long to rest after firing."""

    segments: list[Word] | None = None
    stages: list[Word] | None = None
    owners: list[Word] | None = None
    for_seconds: Seconds = 0
    cooldown_seconds: Seconds = 0

    def applies(self, segment: object, stage: object, owner: object) -> bool:
        """Whether the rule is for an account with these attributes."""
        return (
            (self.segments is None or segment in self.segments)
            and (self.stages is None or stage in self.stages)
            and (self.owners is None or owner in self.owners)
        )


class ScoreRule(RuleFilter, frozen=True, tag="score", tag_field="kind", kw_only=True):
    """Fires when the score is beyond `level`, clears when it is back at `clear_level` (by default `level`)."""

    direction: Literal["below", "above"]
    level: Score
    clear_level: Score | None = None

    def verdict(self, score: float | None, _band: Band) -> Verdict:
        """How the rule sees a score."""
        if score is None:
            return "unknown"
        clear = self.level if self.clear_level is None else self.clear_level
        if self.direction == "below":
            breach, cleared = score < self.level, score >= clear
        else:
            breach, cleared = score > self.level, score <= clear
        return "breach" if breach else "clear" if cleared else "between"

    def problems(self) -> list[Problem]:
        """What can't be: a clear level on the wrong side."""
        if self.clear_level is None:
            return []
        if self.direction == "below" and self.clear_level < self.level:
            return [Problem("clear_level", f"must be at or above level ({self.level:g}) when direction is below")]
        if self.direction == "above" and self.clear_level > self.level:
            return [Problem("clear_level", f"must be at or below level ({self.level:g}) when direction is above")]
        return []


class BandRule(RuleFilter, frozen=True, tag="band", tag_field="kind", kw_only=True):
    """Fires when the band becomes one of `to`, clears when it becomes another known one."""

    to: Annotated[list[KnownBand], Meta(min_length=1, max_length=3)]

    def verdict(self, _score: float | None, band: Band) -> Verdict:
        """How the rule sees a band."""
        if band == "unknown":
            return "unknown"
        return "breach" if band in self.to else "clear"

    def problems(self) -> list[Problem]:
        """Nothing beyond what the form says."""
        return []


Condition = ScoreRule | BandRule


class Rule(Struct, frozen=True):
    """A condition with its identity."""

    id: str
    name: str
    condition: Condition


class Memory(Struct, frozen=True, array_like=True, gc=False):
    """What a rule remembers of an account. `since` is when the state began, `fired_at` when it last fired (0: never);
    both in microseconds.
    """

    state: State = "ok"
    since: int = 0
    fired_at: int = 0


OK = Memory()
_SECOND = 1_000_000


def step(condition: Condition, memory: Memory, verdict: Verdict, now: int) -> Memory:
    """The next memory at `now` (microseconds). The rule fired, or cleared, where the state came to, or left, firing."""
    if memory.state == "firing":
        return Memory("ok", now, memory.fired_at) if verdict == "clear" else memory
    if verdict != "breach":
        return Memory("ok", now, memory.fired_at) if memory.state == "pending" else memory
    since = memory.since if memory.state == "pending" else now
    pending = Memory("pending", since, memory.fired_at)
    return Memory("firing", now, now) if now >= ready_at(condition, pending) else pending


def ready_at(condition: Condition, memory: Memory) -> int:
    """When a pending rule may fire: its dwell and its cooldown are both over. In microseconds."""
    dwelt = memory.since + condition.for_seconds * _SECOND
    rested = memory.fired_at + condition.cooldown_seconds * _SECOND if memory.fired_at else 0
    return max(dwelt, rested)


def worth_keeping(condition: Condition, memory: Memory, now: int) -> bool:
    """Whether forgetting `memory` would change what the rule does later."""
    rests = memory.fired_at > 0 and now < memory.fired_at + condition.cooldown_seconds * _SECOND
    return memory.state != "ok" or rests

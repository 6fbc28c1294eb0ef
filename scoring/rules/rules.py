"""Alert rules: conditions over an account's score, and the state machine that turns them into crossings.

ok -> pending -> firing -> ok. A rule fires once per episode: it has to clear before it can fire again. What is unknown
neither fires nor clears. A snoozed rule doesn't begin to fire until the snooze is over.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct
from msgspec.structs import replace

from scoring.rules.links import is_web_address
from scoring.scorecards.document import Score, ScorecardProblem, ShortText
from scoring.scorecards.measures import Missing, Value
from scoring.scorecards.scorecard import DECIMALS, Band

RuleState = Literal["ok", "pending", "firing"]
ConditionVerdict = Literal["breach", "clear", "between", "unknown"]
KnownBand = Literal["green", "yellow", "red"]
Link = Annotated[str, Meta(max_length=2000, extra_json_schema={"format": "uri", "pattern": "^https://"})]
Seconds = Annotated[int, Meta(ge=0, le=31_536_000)]

Peak = tuple[int, float]
"""A day and the score it closed with."""


class Observation(Struct, frozen=True):
    """What rules look at: an account at a day. `silence` is its `silence_ratio`.

    Where a score or band was set by hand, these are they. `held` says that only time has passed while the source of the
    account's events is quiet: then nothing begins to fire. `bulk` says that the same has happened to many accounts
    at once: history was loaded, or a scorecard published.
    """

    day: int
    score: float | None
    band: Band
    silence: Value = Missing.NO_USAGE
    held: bool = False
    bulk: bool = False


class RuleMemory(Struct, frozen=True, array_like=True, gc=False):
    """What a rule remembers of an account. `since` is when the state began, `fired_at` when it last fired (0: never),
    `snoozed_until` when a snooze ends (0: there is none); all in microseconds.

    `peaks` are the highest closing scores that a fall is measured from: falling, so that the first is the highest.
    `bulk` says of a rule that is pending, or fires, that it became pending as did those of many accounts at once.
    """

    state: RuleState = "ok"
    since: int = 0
    fired_at: int = 0
    snoozed_until: int = 0
    peaks: tuple[Peak, ...] = ()
    bulk: bool = False


OK = RuleMemory()
_SECOND = 1_000_000


class RuleFilter(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What every kind of rule has: whom it is for, how long a breach must last, how long to rest after firing,
    and where it says what to do then.

    It is for no account that has churned, whatever it says.
    """

    segments: list[ShortText] | None = None
    stages: list[ShortText] | None = None
    owners: list[ShortText] | None = None
    exclude_segments: list[ShortText] | None = None
    exclude_stages: list[ShortText] | None = None
    exclude_owners: list[ShortText] | None = None
    for_seconds: Seconds = 0
    cooldown_seconds: Seconds = 0
    playbook_url: Link | None = None

    def applies(self, segment: object, stage: object, owner: object) -> bool:
        """Whether the rule is for an account with these attributes."""
        return (
            (self.segments is None or segment in self.segments)
            and (self.stages is None or stage in self.stages)
            and (self.owners is None or owner in self.owners)
            and segment not in (self.exclude_segments or ())
            and stage not in (self.exclude_stages or ())
            and owner not in (self.exclude_owners or ())
        )

    def problems(self) -> list[ScorecardProblem]:
        """What can't be, beyond what the form says: a value that is wanted and left out, a playbook that is no link."""
        lists = {
            "segments": (self.segments, self.exclude_segments),
            "stages": (self.stages, self.exclude_stages),
            "owners": (self.owners, self.exclude_owners),
        }
        contradictions = [
            ScorecardProblem(
                f"exclude_{name}", f"must not have {value!r}, which {name} has too; leave it out of one of them"
            )
            for name, (wanted, excluded) in lists.items()
            for value in wanted or ()
            if value in (excluded or ())
        ]
        if self.playbook_url is None or is_web_address(self.playbook_url):
            return contradictions
        said = "must be a web address that begins with https://, such as https://wiki.example/at-risk"
        return [*contradictions, ScorecardProblem("playbook_url", said)]


class ScoreRule(RuleFilter, frozen=True, tag="score", tag_field="kind", kw_only=True):
    """Fires when the score is beyond `level`, clears when it is back at `clear_level` (by default `level`)."""

    direction: Literal["below", "above"]
    level: Score
    clear_level: Score | None = None

    def verdict(self, _memory: RuleMemory, observation: Observation) -> ConditionVerdict:
        """How the rule sees a score."""
        score = observation.score
        if score is None:
            return "unknown"
        clear = self.level if self.clear_level is None else self.clear_level
        if self.direction == "below":
            breach, cleared = score < self.level, score >= clear
        else:
            breach, cleared = score > self.level, score <= clear
        return "breach" if breach else "clear" if cleared else "between"

    def problems(self) -> list[ScorecardProblem]:
        """What can't be: a clear level on the wrong side, too."""
        problems = super().problems()
        if self.clear_level is None:
            return problems
        if self.direction == "below" and self.clear_level < self.level:
            said = f"must be at or above level ({self.level:g}) when direction is below"
            return [*problems, ScorecardProblem("clear_level", said)]
        if self.direction == "above" and self.clear_level > self.level:
            said = f"must be at or below level ({self.level:g}) when direction is above"
            return [*problems, ScorecardProblem("clear_level", said)]
        return problems


class BandRule(RuleFilter, frozen=True, tag="band", tag_field="kind", kw_only=True):
    """Fires when the band becomes one of `to`, clears when it becomes another known one."""

    to: Annotated[list[KnownBand], Meta(min_length=1, max_length=3)]

    def verdict(self, _memory: RuleMemory, observation: Observation) -> ConditionVerdict:
        """How the rule sees a band."""
        if observation.band == "unknown":
            return "unknown"
        return "breach" if observation.band in self.to else "clear"


class DropRule(RuleFilter, frozen=True, tag="drop", tag_field="kind", kw_only=True):
    """Fires when the score is `points` or more below the highest that one of the last `days` days closed with.

    Clears when it isn't: the score is back, or the high lies too long ago.
    """

    points: Annotated[float, Meta(gt=0, le=100)]
    days: Annotated[int, Meta(ge=1, le=92)]

    def verdict(self, memory: RuleMemory, observation: Observation) -> ConditionVerdict:
        """How the rule sees a score, against the closings that it remembers."""
        if observation.score is None:
            return "unknown"
        high = next(
            (score for day, score in memory.peaks if observation.day - self.days <= day < observation.day), None
        )
        # Rounded like scores, so that a fall of 10 on paper doesn't come out a hair below 10.
        return "breach" if high is not None and round(high - observation.score, DECIMALS) >= self.points else "clear"


class SilenceRule(RuleFilter, frozen=True, tag="silence", tag_field="kind", kw_only=True):
    """Fires when an account has been silent for `level` times its own rhythm (`silence_ratio`), clears below."""

    level: Annotated[float, Meta(gt=0, le=1000)]

    def verdict(self, _memory: RuleMemory, observation: Observation) -> ConditionVerdict:
        """How the rule sees a silence."""
        if isinstance(observation.silence, Missing):
            return "unknown"
        return "breach" if observation.silence >= self.level else "clear"


Condition = ScoreRule | BandRule | DropRule | SilenceRule
KINDS = ("score", "drop", "band", "silence")


class Rule(Struct, frozen=True):
    """A condition with its identity."""

    id: str
    name: str
    condition: Condition


def step(rule: Rule, memory: RuleMemory, observation: Observation, now: int) -> RuleMemory:
    """The next memory at `now` (microseconds). The rule fired, or cleared, where the state came to, or left, firing."""
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
    """The next memory of a rule that isn't for the account, or isn't in force, any more: what it fired is over."""
    return memory if memory.state == "ok" else _to(memory, "ok", now)


def _to(memory: RuleMemory, state: RuleState, now: int, *, bulk: bool = False) -> RuleMemory:
    return RuleMemory(state, now, memory.fired_at, memory.snoozed_until, memory.peaks, bulk)


def ready_at(condition: Condition, memory: RuleMemory) -> int:
    """When a pending rule may fire: its dwell, its cooldown and its snooze are over. In microseconds."""
    dwelt = memory.since + condition.for_seconds * _SECOND
    rested = memory.fired_at + condition.cooldown_seconds * _SECOND if memory.fired_at else 0
    return max(dwelt, rested, memory.snoozed_until)


def snooze(memory: RuleMemory, until: int) -> RuleMemory:
    """The memory of a rule that won't begin to fire before `until`, in microseconds; 0 ends a snooze."""
    return replace(memory, snoozed_until=until)


def close_day(condition: Condition, memory: RuleMemory, day: int, score: float | None) -> RuleMemory:
    """The memory after a day has closed with a score. Only rules on drops remember that.

    Of the closings within reach only those matter that no later one is as high as: a maximum over a sliding window.
    """
    if not isinstance(condition, DropRule):
        return memory
    peaks = [peak for peak in memory.peaks if peak[0] > day - condition.days]
    if score is not None:
        peaks = [peak for peak in peaks if peak[1] > score]
        peaks.append((day, score))
    return replace(memory, peaks=tuple(peaks))


def worth_keeping(condition: Condition, memory: RuleMemory, now: int) -> bool:
    """Whether forgetting `memory` would change what the rule does later."""
    rests = memory.fired_at > 0 and now < memory.fired_at + condition.cooldown_seconds * _SECOND
    return memory.state != "ok" or rests or now < memory.snoozed_until or isinstance(condition, DropRule)

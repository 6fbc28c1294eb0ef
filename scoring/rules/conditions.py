"""Alert rules: the accounts that each applies to, and its condition over a score, a band or a silence."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from scoring.rules.links import is_web_address
from scoring.scorecards.document import NonEmptyText, Score, ScorecardProblem
from scoring.scorecards.measure import Missing, Value
from scoring.scorecards.scorecard import DECIMALS, Band

RuleState = Literal["ok", "pending", "firing"]
ConditionVerdict = Literal["breach", "clear", "between", "unknown"]
KnownBand = Literal["green", "yellow", "red"]
Link = Annotated[str, Meta(max_length=2000, extra_json_schema={"format": "uri", "pattern": "^https://"})]
Seconds = Annotated[int, Meta(ge=0, le=31_536_000)]

Peak = tuple[int, float]
"""A day and the score it closed with."""


class Observation(Struct, frozen=True):
    """The input of rules: an account at a day. `silence` is its `silence_ratio`.

    Score and band include overrides. `held` means that only time has passed while the source of the account's events is
    silent: then nothing begins to fire. `bulk` means that the same happened to many accounts at once: history was
    loaded, or a scorecard published.
    """

    day: int
    score: float | None
    band: Band
    silence: Value = Missing.NO_USAGE
    held: bool = False
    bulk: bool = False


class RuleMemory(Struct, frozen=True, array_like=True, gc=False):
    """The state of a rule for one account. `since` is the start of the state, `fired_at` the last firing (0: never),
    `snoozed_until` the end of a snooze (0: none); all in microseconds.

    `peaks` are the highest closing scores that a drop is measured from, in falling order. `bulk` marks a pending or
    firing rule that became pending together with those of many other accounts.
    """

    state: RuleState = "ok"
    since: int = 0
    fired_at: int = 0
    snoozed_until: int = 0
    peaks: tuple[Peak, ...] = ()
    bulk: bool = False


OK = RuleMemory()


class RuleFilter(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """The fields of every kind of rule: the accounts it applies to, how long a breach must last, the pause after
    firing, and a playbook link.

    It never applies to churned accounts.
    """

    segments: list[NonEmptyText] | None = None
    stages: list[NonEmptyText] | None = None
    owners: list[NonEmptyText] | None = None
    exclude_segments: list[NonEmptyText] | None = None
    exclude_stages: list[NonEmptyText] | None = None
    exclude_owners: list[NonEmptyText] | None = None
    for_seconds: Seconds = 0
    cooldown_seconds: Seconds = 0
    playbook_url: Link | None = None

    def applies(self, segment: object, stage: object, owner: object) -> bool:
        """True if the rule applies to an account with these attributes."""
        return (
            (self.segments is None or segment in self.segments)
            and (self.stages is None or stage in self.stages)
            and (self.owners is None or owner in self.owners)
            and segment not in (self.exclude_segments or ())
            and stage not in (self.exclude_stages or ())
            and owner not in (self.exclude_owners or ())
        )

    def problems(self) -> list[ScorecardProblem]:
        """Faults that the schema can't express: a value both wanted and excluded, a playbook URL that isn't a link."""
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
        """The verdict on a score."""
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
        """The faults of any rule, and a clear level on the wrong side."""
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
        """The verdict on a band."""
        if observation.band == "unknown":
            return "unknown"
        return "breach" if observation.band in self.to else "clear"


class DropRule(RuleFilter, frozen=True, tag="drop", tag_field="kind", kw_only=True):
    """Fires when the score is `points` or more below the highest closing score of the last `days` days.

    Clears when it isn't: the score has recovered, or the high is too long ago.
    """

    points: Annotated[float, Meta(gt=0, le=100)]
    days: Annotated[int, Meta(ge=1, le=92)]

    def verdict(self, memory: RuleMemory, observation: Observation) -> ConditionVerdict:
        """The verdict on a score, compared with the remembered closing scores."""
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
        """The verdict on a silence."""
        if isinstance(observation.silence, Missing):
            return "unknown"
        return "breach" if observation.silence >= self.level else "clear"


Condition = ScoreRule | BandRule | DropRule | SilenceRule
KINDS = ("score", "drop", "band", "silence")


class Rule(Struct, frozen=True):
    """A condition with its id and name."""

    id: str
    name: str
    condition: Condition

"""The alerts that an account must have had, and the runs of days that its history must hold, computed from the raw
events and the moments of evaluation.

With `oracle` and `oracle_scores` it shares nothing with the code under test but the form of an event. It follows the
design's and the README's words on rules and days, one rule after the other over the whole past.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from typing import Any, NamedTuple

from scoring.state.events import Event
from tests.support.oracle import Document, Question, Value, day_number, number, silence_ratio
from tests.support.oracle_scores import Verdict, choose, evaluate

SECOND = 1_000_000


class Look(NamedTuple):
    """A moment at which an account was evaluated, and the events folded then."""

    at: int
    events: Sequence[Event] = ()


class Told(NamedTuple):
    """An alert: `firing` or `resolved`."""

    rule: str
    state: str
    at: int


class Run(NamedTuple):
    """Days from `since` to `day` on which nothing changed."""

    since: int
    day: int
    scorecard: str
    score: Fraction | None
    band: str


class Standing(NamedTuple):
    """A score by a scorecard."""

    scorecard: str
    verdict: Verdict

    def differs(self, other: "Standing | None") -> bool:
        """True if the two differ in what counts."""
        if other is None or self.scorecard != other.scorecard:
            return True
        mine, yours = self.verdict, other.verdict
        parts = (mine.contributions, mine.coverage, mine.score)
        return parts != (yours.contributions, yours.coverage, yours.score)


@dataclass
class Sight:
    """The rules' view of an account, and the moments of it."""

    day: int
    standing: Standing
    silence: Value
    who: Mapping[str, object]
    moments: list[int]


@dataclass
class Past:
    """Everything that is to be known of an account."""

    sights: list[Sight] = field(default_factory=list)
    closings: dict[int, Fraction | None] = field(default_factory=dict)
    """The score that each day closed with."""
    begun: list[tuple[int, Standing]] = field(default_factory=list)
    """The days on which a run began, with the score at their end."""

    def runs(self) -> list[Run]:
        """The runs that have ended."""
        ends = [since - 1 for since, _ in self.begun[1:]]
        return [
            Run(since, end, standing.scorecard, standing.verdict.score, standing.verdict.band)
            for (since, standing), end in zip(self.begun, ends, strict=False)
        ]


def watch(documents: Sequence[Document], looks: Sequence[Look], retention: int) -> Past:
    """Go through the evaluations of an account, and each day that lies between them."""
    return _Watch(documents, retention).through(looks)


class _Watch:
    def __init__(self, documents: Sequence[Document], retention: int) -> None:
        self.documents = {document["name"]: document for document in documents}
        self.retention = retention
        self.past = Past()
        self.heard: list[Event] = []
        self.judged: int | None = None
        self.standing: Standing | None = None

    def through(self, looks: Sequence[Look]) -> Past:
        for look in looks:
            if not look.events and day_number(look.at) == self.judged:
                self.past.sights[-1].moments.append(look.at)
            else:
                self._take(look)
        return self.past

    def _take(self, look: Look) -> None:
        came = defaultdict(list)
        today = day_number(look.at)
        first = min([event.broker_day for event in look.events], default=today) if self.judged is None else self.judged
        for event in look.events:
            came[max(event.broker_day, first)].append(event)
        for day in range(first, today + 1):
            if day != self.judged or day in came or day == today:
                self._judge(day, came[day])
            if day < today:
                self.past.closings[day] = self._stands().verdict.score
        self._see(look.at, today)

    def _judge(self, day: int, came: Sequence[Event]) -> None:
        before = day if self.judged is None else self.judged
        if day > before:
            self._move(day, self._stands().scorecard)
        told_before = [event for event in came if day_number(event.at) < before]
        self._fold(day, told_before)
        self._fold(day, [event for event in came if event not in told_before])
        name = choose(list(self.documents.values()), self.heard, day, self.retention)
        if self.standing is None or name != self.standing.scorecard:
            self._move(day, name)
        self.judged = day

    def _fold(self, day: int, events: Sequence[Event]) -> None:
        if events:
            self.heard += events
            if self.standing is not None:
                self._move(day, self.standing.scorecard)

    def _move(self, day: int, scorecard: str) -> None:
        after = Standing(scorecard, evaluate(self.documents[scorecard], self.heard, day, self.retention))
        begun = self.past.begun
        if after.differs(self.standing) and (not begun or begun[-1][0] < day):
            begun.append((day, after))
        elif begun[-1][0] == day:
            begun[-1] = (day, after)
        self.standing = after

    def _see(self, at: int, day: int) -> None:
        asked = Question(self.heard, day, self.retention, {})
        who = {name: asked.attribute(name) for name in ("segment", "stage", "owner", "churned_on")}
        self.past.sights.append(Sight(day, self._stands(), silence_ratio(asked), who, [at]))

    def _stands(self) -> Standing:
        assert self.standing is not None
        return self.standing


# --- rules ------------------------------------------------------------------------------------------------------


def _score(rule: Document, past: Past, sight: Sight) -> str:
    score, level = sight.standing.verdict.score, number(rule["level"])
    clear = number(rule.get("clear_level", rule["level"]))
    if score is None:
        return "unknown"
    if rule["direction"] == "below":
        return "breach" if score < level else "clear" if score >= clear else "between"
    return "breach" if score > level else "clear" if score <= clear else "between"


def _band(rule: Document, past: Past, sight: Sight) -> str:
    band = sight.standing.verdict.band
    return "unknown" if band == "unknown" else "breach" if band in rule["to"] else "clear"


def _drop(rule: Document, past: Past, sight: Sight) -> str:
    score = sight.standing.verdict.score
    if score is None:
        return "unknown"
    window = [past.closings.get(day) for day in range(sight.day - rule["days"], sight.day)]
    highs = [closing for closing in window if closing is not None]
    return "breach" if highs and max(highs) - score >= number(rule["points"]) else "clear"


def _silence(rule: Document, past: Past, sight: Sight) -> str:
    if isinstance(sight.silence, str):
        return "unknown"
    return "breach" if sight.silence >= number(rule["level"]) else "clear"


_KINDS: dict[str, Callable[[Document, Past, Sight], str]] = {
    "score": _score,
    "band": _band,
    "drop": _drop,
    "silence": _silence,
}


def _has_left(sight: Sight) -> bool:
    left = sight.who["churned_on"]
    return isinstance(left, str) and date.fromisoformat(left).toordinal() - EPOCH <= sight.day


EPOCH = date(1970, 1, 1).toordinal()
_FILTERS = {"segments": "segment", "stages": "stage", "owners": "owner"}


def _sees(rule: Mapping[str, Any], past: Past, sight: Sight) -> str:
    if _has_left(sight):
        return "not for it"
    if any(f"exclude_{name}" in rule and sight.who[each] in rule[f"exclude_{name}"] for name, each in _FILTERS.items()):
        return "not for it"
    if any(name in rule and sight.who[each] not in rule[name] for name, each in _FILTERS.items()):
        return "not for it"
    return _KINDS[rule["kind"]](rule, past, sight)


def alerts_of(rule: Mapping[str, Any], past: Past) -> list[Told]:
    """The alerts of one rule, in order.

    It fires at the first evaluation of a breach that has lasted for `for_seconds`, `cooldown_seconds` after it last
    did, and is resolved by the first evaluation at which it is clear, or no longer applies to the account.
    """
    dwell, rest = rule.get("for_seconds", 0) * SECOND, rule.get("cooldown_seconds", 0) * SECOND
    told: list[Told] = []
    began: int | None = None
    for sight in past.sights:
        sees = _sees(rule, past, sight)
        fires = bool(told) and told[-1].state == "firing"
        if sees != "breach":
            began = None
            if fires and sees in ("clear", "not for it"):
                told.append(Told(rule["name"], "resolved", sight.moments[0]))
        elif not fires:
            began = sight.moments[0] if began is None else began
            earliest = max(began + dwell, told[-2].at + rest if told else 0)
            told += [Told(rule["name"], "firing", at) for at in sight.moments if at >= earliest][:1]
    return told


class Retold(NamedTuple):
    """The alerts that an account must have had, and the runs that must be in its history."""

    alerts: list[Told]
    runs: list[Run]


def retell(
    documents: Sequence[Document],
    rules: Sequence[Document],
    folds: Mapping[str, Sequence[Look]],
    sweeps: Sequence[int],
    retention: int,
) -> dict[str, Retold]:
    """The expectation by account, from the events of each fold, and the moments at which all due accounts were
    evaluated.

    Accounts that weren't due are evaluated all the same: that must make no difference.
    """
    found: dict[str, Retold] = {}
    for account_id, mine in folds.items():
        looks = sorted([*mine, *(Look(at) for at in sweeps if at > mine[0].at)], key=lambda look: look.at)
        past = watch(documents, looks, retention)
        alerts = [told for rule in rules for told in alerts_of(rule, past)]
        found[account_id] = Retold(sorted(alerts, key=lambda told: (told.at, told.rule)), past.runs())
    return found

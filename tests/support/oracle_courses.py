"""The expected course of one account, day by day: every score from a state that is folded from nothing.

Folding events and scoring a state are shared with the code under test, and have oracles of their own; taking an account
through time is not.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from msgspec import UNSET

from scoring.rules.policy import Policy
from scoring.scorecards.contributions import Billionths, contributions_in_billionths
from scoring.scorecards.override import Override
from scoring.scorecards.scorecard import Evaluation, Scorecard, evaluate
from scoring.scorecards.selection import choose
from scoring.state.account_state import AccountState, apply_pending, fold
from scoring.state.events import Event
from tests.support.courses import RETENTION, Stop
from tests.support.oracle import DAY, day_number


@dataclass
class Day:
    """A day, as it was when it was over."""

    evaluation: Evaluation | None = None
    override: Override | None = None
    moves: defaultdict[str, Billionths] = field(default_factory=lambda: defaultdict(dict))
    """The points that each cause moved."""
    events: defaultdict[str, list[Event]] = field(default_factory=lambda: defaultdict(list))
    """The events that each cause has folded."""
    begins: bool = False
    """True if anything changed on it: the first run begins there, or another one."""


class Expected:
    """All days of an account on this course."""

    def __init__(self, stops: Sequence[Stop]) -> None:
        self.days: dict[int, Day] = {}
        self._heard: list[Event] = []
        self._card: Scorecard | None = None
        self._judged: int | None = None
        self._override: Override | None = None
        for stop in stops:
            self._take(stop)

    def _take(self, stop: Stop) -> None:
        newest = max([event.broker_day for event in [*self._heard, *stop.events]], default=0)
        today = max(day_number(stop.now), newest, self._judged or 0)
        start = self._judged
        first = min([event.broker_day for event in stop.events], default=today) if start is None else start
        for day in range(first, today + 1):
            came = [event for event in stop.events if max(event.broker_day, first) == day]
            at = stop.now if day == today else (day + 1) * DAY - 1
            if self._override and self._override.expires_at is not None and self._override.expires_at <= at:
                self._set_override(None, day)
            if came or day == today or day != start:
                self._judge(day, came, stop.policy)
        if stop.override is not UNSET:
            self._set_override(stop.override, today)

    def _judge(self, day: int, came: Sequence[Event], policy: Policy) -> None:
        state = folded(self._heard, day)
        for cause, events in self._parts(day, came):
            if events:
                self._heard += events
                state = folded(self._heard, day)
            self._day(day).events[cause] += events
            self._move(day, cause, evaluate(self._card or choose(policy.scorecards, state, day), state, day))
        applies = choose(policy.scorecards, state, day)
        if self._card not in (None, applies):
            self._move(day, "scorecard", evaluate(applies, state, day))
        self._card, self._judged = applies, day

    def _parts(self, day: int, came: Sequence[Event]) -> list[tuple[str, list[Event]]]:
        if self._judged is None:
            return [("events", list(came))]
        told_before = [event for event in came if day_number(event.at) < self._judged]
        others = [event for event in came if day_number(event.at) >= self._judged]
        return [("time", []), ("correction", told_before), ("events", others)]

    def _move(self, day: int, cause: str, after: Evaluation) -> None:
        before = self._stands()
        this = self._day(day)
        this.evaluation = after
        here, there = contributions_in_billionths(before), contributions_in_billionths(after)
        for name in {*here, *there}:
            total = this.moves[cause].get(name, 0) + there.get(name, 0) - here.get(name, 0)
            this.moves[cause][name] = total
        this.begins |= before is None or here != there or before.coverage != after.coverage or before.card != after.card

    def _set_override(self, override: Override | None, day: int) -> None:
        this = self._day(day)
        this.begins |= override != self._override
        this.override = self._override = override

    def _day(self, day: int) -> Day:
        if day not in self.days:
            self.days[day] = Day(self._stands(), self._override)
        return self.days[day]

    def _stands(self) -> Evaluation | None:
        return self.days[max(self.days)].evaluation if self.days else None


def folded(events: Sequence[Event], day: int) -> AccountState:
    """The state at a day, from nothing."""
    state = AccountState()
    if events:
        fold(state, events, RETENTION)
    apply_pending(state, day)
    return state

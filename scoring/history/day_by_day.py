"""Takes one account through its days: folds events day by day, and records the cause of every change of its score."""

from collections.abc import Sequence
from copy import deepcopy

from msgspec import Struct, field

from scoring.history.journal import MOST_IDS, JournalCause, Reason
from scoring.history.score_run import ScoreRun
from scoring.history.timeline import Timeline
from scoring.rules.crossings import DayClosing
from scoring.rules.policy import Policy
from scoring.scorecards.override import Override
from scoring.scorecards.scorecard import Evaluation, evaluate
from scoring.scorecards.selection import choose
from scoring.state.account_state import AccountState, apply_pending, fold
from scoring.state.calendar import day_of, start_of
from scoring.state.events import Event

LONGEST_GAP = 400
"""Days. An account that wasn't evaluated for longer has no history of the days before."""


class Course(Struct, frozen=True, gc=False):
    """The way of an account to now: the run of days at its end, with its evaluation, and what happened before."""

    score_run: ScoreRun
    evaluation: Evaluation
    late: int
    """The number of events that were too old to count."""
    closed: list[ScoreRun] = field(default_factory=list)
    """The runs of days that ended."""
    closings: list[DayClosing] = field(default_factory=list)
    switched: bool = False
    """True if another scorecard applies than before, and not only another calibration of it."""


class DayByDay:
    """Takes an account from its last score run to `now`, its state in place, and collects the results."""

    __slots__ = ("_card", "_day", "_now", "_policy", "_state", "closings", "late", "switched", "timeline")

    def __init__(self, state: AccountState, score_run: ScoreRun | None, policy: Policy, now: int) -> None:
        """`now` is in microseconds."""
        self.closings: list[DayClosing] = []
        self.switched = False
        self.late = 0
        self._state = state
        self._policy = policy
        self._now = now
        self._day = score_run.day if score_run else None
        """The last evaluated day."""
        self._card = policy.find(score_run.scorecard, score_run.version) if score_run else None
        self.timeline = Timeline(score_run, self._card, policy.find)

    def run(self, events: Sequence[Event]) -> None:
        """Fold events on their broker's days, and evaluate every day up to that of now or of the newest event."""
        first = self._day
        today = max(day_of(self._now), self._state.newest, first or 0)
        for event in events:
            if event.broker_day > today:
                today = event.broker_day
        if first is None:
            first = min([event.broker_day for event in events], default=today)
        if first == today:
            self._expire(today, self._now)
            self._evaluate_day(today, events, self._now)
            return
        first = max(first, today - LONGEST_GAP)
        for day in range(first, today + 1):
            came = [event for event in events if max(event.broker_day, first) == day]
            at = self._now if day == today else start_of(day + 1) - 1
            self._expire(day, at)
            if came or day != self._day:
                self._evaluate_day(day, came, at)
            if day < today and self.timeline.is_evaluated:
                self.closings.append((day, self.timeline.score))

    def set_override(self, override: Override | None) -> None:
        """Set an override by hand, or withdraw it; after `run`."""
        _, evaluation = self.timeline.finish()
        note = f"set by {override.author}: {override.reason}" if override else "taken back"
        self.timeline.set_override(Reason("override", self._now, note=note), override, evaluation.day)

    def finish(self) -> Course:
        """The result; after `run`."""
        score_run, evaluation = self.timeline.finish()
        return Course(score_run, evaluation, self.late, self.timeline.closed, self.closings, self.switched)

    def _evaluate_day(self, day: int, events: Sequence[Event], at: int) -> None:
        """Evaluate one day with its events, up to the instant `at`."""
        for cause, part in by_cause(self._day, day, events):
            if part:
                self.late += fold(self._state, part, self._policy.retention)
            state = with_due_pending(self._state, day)
            card = self._card or choose(self._policy.scorecards, state, day)
            self.timeline.move(reason(cause, part, at), evaluate(card, state, day))
        applies = choose(self._policy.scorecards, state, day)
        if applies is not self._card and self._card is not None:
            card = self._card
            note = f"{card.name} {card.version} to {applies.name} {applies.version}"
            self.timeline.move(Reason("scorecard", at, note=note), evaluate(applies, state, day))
            self.switched = self.switched or not applies.scores_like(card)
        self._card = applies
        self._day = day

    def _expire(self, day: int, at: int) -> None:
        override = self.timeline.override
        if override is not None and override.expires_at is not None and override.expires_at <= at:
            over = Reason("override", override.expires_at, note=f"{override.author}'s has expired")
            self.timeline.set_override(over, None, day)


def with_due_pending(state: AccountState, day: int) -> AccountState:
    """The state including pending entries due by `day`; `state` stays as it is."""
    if state.usage.pending or state.tickets.pending or state.surveys.pending or state.attributes.pending:
        state = deepcopy(state)
        apply_pending(state, day)
    return state


def by_cause(before: int | None, day: int, events: Sequence[Event]) -> list[tuple[JournalCause, Sequence[Event]]]:
    """The causes that move a day, in order: the calendar, events about days before the last one, and other events."""
    if before is None:
        return [("events", events)]
    known = start_of(before)
    old = [event for event in events if event.at < known]
    if day == before and events and (not old or len(old) == len(events)):
        return [("correction" if old else "events", events)]
    parts: list[tuple[JournalCause, Sequence[Event]]] = []
    if day > before or not events:
        parts.append(("time", ()))
    if old:
        parts.append(("correction", old))
    if len(old) < len(events):
        parts.append(("events", [event for event in events if event.at >= known] if old else events))
    return parts


def reason(cause: JournalCause, events: Sequence[Event], at: int) -> Reason:
    """The reason for a move by events of one cause, up to the instant `at`."""
    names: list[str] = []
    for event in events if len(events) <= MOST_IDS else events[-MOST_IDS:]:
        names += (event.source, event.id)
    return Reason(cause, at, len(events), tuple(names))


def evaluate_now(state: AccountState, policy: Policy, now: int) -> Evaluation:
    """The evaluation of `state` at `now`, by the scorecard that applies; `state` stays as it is."""
    day = max(day_of(now), state.newest)
    state = with_due_pending(state, day)
    return evaluate(choose(policy.scorecards, state, day), state, day)

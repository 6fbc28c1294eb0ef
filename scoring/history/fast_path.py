"""The shortest way through a step: events that move an account within one day, by one scorecard.

Nearly every fold is that, and it costs half of the course, which comes to the same.
"""

from collections.abc import Sequence

from scoring.history.day_by_day import reason, with_due_pending
from scoring.history.journal import JournalBase, JournalCause
from scoring.history.journal_codec import note_stored
from scoring.history.score_run import ScoreRun
from scoring.rules.policy import Policy
from scoring.scorecards.readings import encode_readings
from scoring.scorecards.scorecard import Evaluation, evaluate, read, score
from scoring.scorecards.selection import choose
from scoring.state.account_state import AccountState, fold, fold_arrivals
from scoring.state.calendar import MICROSECONDS_PER_DAY, start_of
from scoring.state.events import AttributesEvent, Event
from scoring.state.usage_batch import Arrivals, arrivals

FastResult = tuple[ScoreRun, Evaluation, int]
"""What stands in the end, its evaluation, and how many events were late."""

CausePart = tuple[JournalCause, Sequence[Event], Arrivals]
"""Events of one cause, and the same to be folded."""


def fold_in_one_day(
    state: AccountState, score_run: ScoreRun | None, events: Sequence[Event], policy: Policy, now: int
) -> FastResult | None:
    """Fold `events` into `state`, in place, and judge it.

    None, with `state` as it was, where there may be more to it than one day and one scorecard.
    """
    if not events:
        return None
    return _same_day(state, score_run, events, policy, now) if score_run else _first_day(state, events, policy, now)


def _same_day(
    state: AccountState, score_run: ScoreRun, events: Sequence[Event], policy: Policy, now: int
) -> FastResult | None:
    """What stands began on the day that it is of, and that is the last day still. No event seen is of a later one: the
    step that saw it judged that day.
    """
    day = score_run.day
    if score_run.since != day or score_run.override is not None or now // MICROSECONDS_PER_DAY > day:
        return None
    moves = _by_cause(events, day, policy.retention)
    if moves is None or state.attributes.pending:
        return None
    card = choose(policy.scorecards, state, day)
    if card.version != score_run.version or card.name != score_run.scorecard:
        return None
    readings, journal, late = score_run.readings, score_run.journal, 0
    for cause, part, arrived in moves:
        late += fold_arrivals(state, arrived, policy.retention)
        values = read(card, with_due_pending(state, day), day)
        after = encode_readings(values)
        if after != readings:
            base = JournalBase(readings, card.name, card.version)
            journal = note_stored(journal, reason(cause, part, now), base, policy.find)
            readings = after
    evaluation = score(values, card, day)
    return _score_run(evaluation, readings, journal), evaluation, late


def _by_cause(events: Sequence[Event], day: int, retention: int) -> list[CausePart] | None:
    """By what `day` is moved: events that tell of days before it come first. None where they tell of attributes, or
    came on a later day.
    """
    arrived = arrivals(events, retention)
    if arrived.newest > day:
        return None
    start = start_of(day)
    before, since = arrived.earliest < day, arrived.latest >= day
    for event in arrived.others:
        if event.broker_day > day or event.__class__ is AttributesEvent:
            return None
        if event.at < start:
            before = True
        else:
            since = True
    if not (before and since):
        return [("correction" if before else "events", events, arrived)]
    earlier, later = [event for event in events if event.at < start], [event for event in events if event.at >= start]
    return [("correction", earlier, arrivals(earlier, retention)), ("events", later, arrivals(later, retention))]


def _first_day(state: AccountState, events: Sequence[Event], policy: Policy, now: int) -> FastResult | None:
    """The account was never judged, and all events are of today."""
    day = now // MICROSECONDS_PER_DAY
    if state.newest > day:
        return None
    for event in events:
        if event.broker_day != day:
            return None
    late = fold(state, events, policy.retention)
    state = with_due_pending(state, day)
    evaluation = evaluate(choose(policy.scorecards, state, day), state, day)
    journal = note_stored(None, reason("events", events, now), None, policy.find)
    return _score_run(evaluation, encode_readings(evaluation.readings), journal), evaluation, late


def _score_run(evaluation: Evaluation, readings: str, journal: bytes | None) -> ScoreRun:
    day, card = evaluation.day, evaluation.card
    score, band, coverage = evaluation.score, evaluation.band, evaluation.coverage
    return ScoreRun(day, day, score, band, coverage, card.name, card.version, readings, journal)

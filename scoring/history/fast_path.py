"""The fast path of a step: events that move an account within one day, by one scorecard.

Nearly every fold is one, and this costs half of going day by day, with the same result.
"""

from collections.abc import Sequence

from scoring.history.day_by_day import reason, with_due_pending
from scoring.history.journal import JournalBase, JournalCause
from scoring.history.journal_codec import note_stored
from scoring.history.score_run import ScoreRun, encode_readings
from scoring.rules.policy import Policy
from scoring.scorecards.scorecard import Evaluation, evaluate, read, score
from scoring.scorecards.selection import choose
from scoring.state.account_state import AccountState, fold, fold_arrivals
from scoring.state.calendar import MICROSECONDS_PER_DAY, start_of
from scoring.state.events import AttributesEvent, Event
from scoring.state.usage_batch import Arrivals, arrivals

FastResult = tuple[ScoreRun, Evaluation, int]
"""The final score run, its evaluation, and the number of late events."""

CausePart = tuple[JournalCause, Sequence[Event], Arrivals]
"""Events of one cause, and the same prepared for the fold."""


def fold_in_one_day(
    state: AccountState, score_run: ScoreRun | None, events: Sequence[Event], policy: Policy, now: int
) -> FastResult | None:
    """Fold `events` into `state`, in place, and evaluate it.

    Returns None, with `state` unchanged, where more than one day or one scorecard may be involved.
    """
    if not events:
        return None
    return _same_day(state, score_run, events, policy, now) if score_run else _first_day(state, events, policy, now)


def _same_day(
    state: AccountState, score_run: ScoreRun, events: Sequence[Event], policy: Policy, now: int
) -> FastResult | None:
    """The fast path if the score run began on its last day, and that day is still the current one.

    No event seen is of a later day: the step that saw it would have evaluated that day.
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
    """The events that move `day` by cause; those about earlier days come first.

    None if any carry attributes or came on a later day.
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
    """The fast path for an account that was never evaluated, if all events are of today."""
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

"""The fast path of a step: events that move an account within one day, by one scorecard.

Nearly every fold is one, and this costs half of going day by day, with the same result.
"""

from collections.abc import Sequence

from scoring.history.day_by_day import Course, by_cause, reason, with_due_pending
from scoring.history.journal import JournalBase, JournalCause
from scoring.history.journal_codec import note_stored
from scoring.history.score_run import ScoreRun, decode_readings, encode_readings
from scoring.rules.policy import Policy
from scoring.scorecards.measure import MeasureSignal
from scoring.scorecards.scorecard import read, read_again, score
from scoring.scorecards.selection import choose
from scoring.state.account_state import AccountState, fold_arrivals
from scoring.state.calendar import MICROSECONDS_PER_DAY
from scoring.state.events import AttributesEvent, Event, TicketEvent
from scoring.state.usage_batch import Arrivals, arrivals


def fold_in_one_day(
    state: AccountState, score_run: ScoreRun | None, events: Sequence[Event], policy: Policy, now: int
) -> Course | None:
    """Fold `events` into `state`, in place, and evaluate it.

    Returns None, with `state` unchanged, where more than one day or one scorecard may be involved.
    """
    day = score_run.day if score_run else now // MICROSECONDS_PER_DAY
    if not events:
        return None
    retention = policy.retention
    arrived = arrivals(events, retention)
    if not _are_of_one_day(state, score_run, arrived, day, now):
        return None
    card = choose(policy.scorecards, state, day)
    readings, values, journal, late = "", None, None, 0
    if score_run:
        if card.version != score_run.version or card.name != score_run.scorecard:
            return None
        readings, journal = score_run.readings, score_run.journal
        values = decode_readings(readings)
    for cause, part, read_part in _by_cause(day if score_run else None, events, arrived, retention):
        late += fold_arrivals(state, read_part, retention)
        today = with_due_pending(state, day)
        if values is None:
            values = read(card, today, day)
        else:
            read_again(card, today, day, values, _signals(read_part))
        after = encode_readings(values)
        if after != readings:
            base = JournalBase(readings, card.name, card.version) if readings else None
            journal = note_stored(journal, reason(cause, part, now), base, policy.find)
            readings = after
    assert values is not None
    evaluation = score(values, card, day)
    points, band, coverage = evaluation.score, evaluation.band, evaluation.coverage
    run = ScoreRun(day, day, points, band, coverage, card.name, card.version, readings, journal)
    return Course(run, evaluation, late)


_USAGE: frozenset[MeasureSignal] = frozenset({"usage"})


def _signals(arrived: Arrivals) -> frozenset[MeasureSignal]:
    """The signals of events, which hold no attributes."""
    if not arrived.others:
        return _USAGE
    others: set[MeasureSignal] = {"tickets" if type(event) is TicketEvent else "surveys" for event in arrived.others}
    return frozenset(others) if arrived.newest < 0 else _USAGE | others


def _by_cause(
    before: int | None, events: Sequence[Event], arrived: Arrivals, retention: int
) -> list[tuple[JournalCause, Sequence[Event], Arrivals]]:
    """Like `by_cause` for a day that was evaluated already, with each part read; nearly always there is just one."""
    if not arrived.others:
        known = 0 if before is None else before * MICROSECONDS_PER_DAY
        if before is None or arrived.first_at >= known:
            return [("events", events, arrived)]
        if arrived.last_at < known:
            return [("correction", events, arrived)]
    parts = by_cause(before, before or 0, events)
    return [(cause, part, arrivals(part, retention) if len(parts) > 1 else arrived) for cause, part in parts]


def _are_of_one_day(state: AccountState, score_run: ScoreRun | None, arrived: Arrivals, day: int, now: int) -> bool:
    """True if the score run begins on `day`, which is still the current one, and no event can choose another scorecard.

    No event seen is of a later day: the step that saw it would have evaluated that day.
    """
    if state.attributes.pending:
        return False
    if score_run is None:
        oldest = day
        if state.newest > day:
            return False
    else:
        oldest = 0
        if score_run.since != day or score_run.override is not None or now // MICROSECONDS_PER_DAY > day:
            return False
    if arrived.oldest < oldest or arrived.newest > day:
        return False
    for event in arrived.others:
        if not oldest <= event.broker_day <= day or event.__class__ is AttributesEvent:
            return False
    return True

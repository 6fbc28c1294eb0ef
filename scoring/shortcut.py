"""The shortest way through a step: events that move an account within one day, by one scorecard.

Nearly every fold is that, and it costs half of the course, which comes to the same.
"""

from collections.abc import Sequence
from functools import partial

from scoring.arrivals import arrivals
from scoring.choice import choose
from scoring.course import reason, settled
from scoring.events import AttributesEvent, Event
from scoring.journal import Base, Journal, decode_journal, encode_journal, note
from scoring.policy import Policy
from scoring.readings import encode_readings
from scoring.scorecards import Evaluation, evaluate
from scoring.standing import Standing
from scoring.state import AccountState, fold, fold_arrivals
from scoring.windows import MICROSECONDS_PER_DAY

Short = tuple[Standing, Evaluation, int]
"""What stands in the end, its evaluation, and how many events were late."""


def shortcut(
    state: AccountState, standing: Standing | None, events: Sequence[Event], policy: Policy, now: int
) -> Short | None:
    """Fold `events` into `state`, in place, and judge it.

    None, with `state` as it was, where there may be more to it than one day, one scorecard and one cause.
    """
    if not events:
        return None
    return _again(state, standing, events, policy, now) if standing else _first(state, events, policy, now)


def _again(state: AccountState, standing: Standing, events: Sequence[Event], policy: Policy, now: int) -> Short | None:
    """What stands began on the day that it is of, and that is the last day still. No event seen is of a later one: the
    step that saw it judged that day.
    """
    day = standing.day
    if standing.since != day or standing.override is not None or now // MICROSECONDS_PER_DAY > day:
        return None
    known = day * MICROSECONDS_PER_DAY
    correction = events[0].at < known
    arrived = arrivals(events, policy.retention)
    if arrived.newest > day or (arrived.latest >= day if correction else arrived.earliest < day):
        return None
    for event in arrived.others:
        if event.broker_day > day or (event.at < known) is not correction or event.__class__ is AttributesEvent:
            return None
    if state.attributes.pending:
        return None
    card = choose(policy.scorecards, state, day)
    if card.version != standing.version or card.name != standing.scorecard:
        return None
    late = fold_arrivals(state, arrived, policy.retention)
    evaluation = evaluate(card, settled(state, day), day)
    readings = encode_readings(evaluation.readings)
    journal = standing.journal
    if readings != standing.readings:
        moved, base = decode_journal(journal), partial(Base, standing.readings, card.name, card.version)
        note(moved, reason("correction" if correction else "events", events, now), base, policy.find)
        journal = encode_journal(moved)
    return _stands(evaluation, readings, journal), evaluation, late


def _first(state: AccountState, events: Sequence[Event], policy: Policy, now: int) -> Short | None:
    """The account was never judged, and all events are of today."""
    day = now // MICROSECONDS_PER_DAY
    if state.newest > day:
        return None
    for event in events:
        if event.broker_day != day:
            return None
    late = fold(state, events, policy.retention)
    state = settled(state, day)
    evaluation = evaluate(choose(policy.scorecards, state, day), state, day)
    journal = Journal()
    note(journal, reason("events", events, now), _nothing, policy.find)
    return _stands(evaluation, encode_readings(evaluation.readings), encode_journal(journal)), evaluation, late


def _nothing() -> None:
    return None


def _stands(evaluation: Evaluation, readings: str, journal: bytes | None) -> Standing:
    day, card = evaluation.day, evaluation.card
    score, band, coverage = evaluation.score, evaluation.band, evaluation.coverage
    return Standing(day, day, score, band, coverage, card.name, card.version, readings, journal)

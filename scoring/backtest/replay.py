"""Replay of one account: each of its days as the live service would have judged it, from its events alone.

Events count on their own days, as if the broker had received each at once. The events of a day are folded together, at
the time of the last of them; between them the account is evaluated when it is due, as the sweeper would. The live
service folds within seconds, so within a day it may see a score that rises or falls and comes back; a replay doesn't.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from msgspec import Struct, field
from msgspec.structs import replace

from scoring.advance import advance
from scoring.history.day_by_day import with_due_pending
from scoring.history.score_run import ScoreRun
from scoring.rules.conditions import RuleMemory
from scoring.rules.crossings import Crossing, apply_rules, observe
from scoring.rules.policy import Policy
from scoring.scorecards.scorecard import Band, Evaluation, evaluate
from scoring.scorecards.selection import choose
from scoring.state.account_state import AccountState, fold
from scoring.state.attributes import Register
from scoring.state.calendar import MICROSECONDS_PER_DAY, day_of, start_of
from scoring.state.events import AttributesEvent, Event


class DayScore(NamedTuple):
    """The score of an account at the end of a day, or at the end of the replay on its last day."""

    day: int
    score: float | None
    band: Band


class ReplayedCrossing(NamedTuple):
    """A rule that began or stopped firing at `at` (microseconds)."""

    at: int
    crossing: Crossing
    score: float | None
    owner: str | None
    """The account's owner at that time."""


class Replay(Struct):
    """The past of one account. `scores` has each of its days once, from the day of its first event.

    A full replay has the score runs, too: the ended ones in `closed`, and the current one with the rules' memories and
    the time in microseconds at which the account is due. `late` counts events that were older than retention.
    """

    state: AccountState = field(default_factory=AccountState)
    scores: list[DayScore] = field(default_factory=list)
    crossings: list[ReplayedCrossing] = field(default_factory=list)
    memory: dict[str, RuleMemory] = field(default_factory=dict)
    due: int = 0
    late: int = 0
    closed: list[ScoreRun] = field(default_factory=list)
    score_run: ScoreRun | None = None


Batch = tuple[int, Sequence[Event]]
"""The events of one day, and the time of the last of them."""


def replay(events: Sequence[Event], policy: Policy, until: int, started_on: str | None = None) -> Replay:
    """The whole past of an account up to `until` (microseconds): scores, crossings, and history with its causes.

    It equals what the service would have stored, had it folded each day's events at the time of the last. Events after
    `until` are left out. `events` are of one account, each once, in any order. `started_on`, a day as text, is known
    from elsewhere, and serves from the first day if no event gives one.
    """
    policy = _as_of_old(policy)
    past = Replay()
    if started_on is not None and not any(_gives_start(event) for event in events):
        past.state.attributes.registers["started_on"] = Register(0, "", started_on)
    for at, batch in _moments(past, events, until):
        step = advance(past.state, past.score_run, past.memory, batch, policy, at)
        past.score_run, past.memory, past.due = step.score_run, step.memory, step.due
        past.closed += step.closed
        past.late += step.late
        _note(past, step.evaluation, step.crossings, at)
    return past


def replay_scores(events: Sequence[Event], policy: Policy, until: int) -> Replay:
    """Like `replay`, but only scores and crossings, in half of the time: history and its causes aren't worked out."""
    policy = _as_of_old(policy)
    past = Replay()
    last: Evaluation | None = None
    for at, batch in _moments(past, events, until):
        if batch:
            past.late += fold(past.state, batch, policy.retention)
        day = day_of(at)
        state = with_due_pending(past.state, day)
        evaluation = evaluate(choose(policy.scorecards, state, day), state, day)
        past.due = start_of(day + 1)
        crossings: list[Crossing] = []
        if policy.rules:
            closings = [(last.day, last.score)] if last is not None and last.day < day else []
            observation = observe(state, evaluation, None, policy, held=False)
            verdicts = apply_rules(state, past.memory, closings, observation, policy, at)
            past.memory, crossings = verdicts.memory, verdicts.crossings
            past.due = min(past.due, verdicts.ready_at or past.due)
        _note(past, evaluation, crossings, at)
        last = evaluation
    return past


def _gives_start(event: Event) -> bool:
    return isinstance(event, AttributesEvent) and "started_on" in event.values


def _as_of_old(policy: Policy) -> Policy:
    """The policy without what is only so at the moment: changes under way, and sources that are silent now."""
    return replace(policy, silent_sources=frozenset(), digest=None, rule_digest=None, changed=frozenset(), retired={})


def _moments(past: Replay, events: Sequence[Event], until: int) -> Iterator[Batch]:
    """The times at which the account is evaluated, in order, with the events that are folded then.

    `past.due` is read after each: the evaluation sets it.
    """
    for at, batch in _days(events, until):
        yield from _dues(past, at)
        yield at, batch
    yield from _dues(past, until)


def _dues(past: Replay, until: int) -> Iterator[Batch]:
    while past.due and past.due <= until:
        yield past.due, ()


def _days(events: Sequence[Event], until: int) -> Iterator[Batch]:
    """The events of each day, in order of time, as the broker would have received them."""
    ordered = sorted((event for event in events if event.at <= until), key=attrgetter("at"))
    for _, group in groupby(ordered, key=lambda event: event.at // MICROSECONDS_PER_DAY):
        batch = [received_at_once(event) for event in group]
        yield batch[-1].at, batch


def received_at_once(event: Event) -> Event:
    """The event as if the broker had received it on its own day."""
    day = day_of(event.at)
    return event if event.broker_day == day else replace(event, broker_day=day)


def _note(past: Replay, evaluation: Evaluation, crossings: Sequence[Crossing], at: int) -> None:
    found = DayScore(evaluation.day, evaluation.score, evaluation.band)
    if past.scores and past.scores[-1].day == found.day:
        past.scores[-1] = found
    else:
        past.scores.append(found)
    if crossings:
        owner = past.state.attributes.value("owner")
        assert owner is None or isinstance(owner, str)
        past.crossings += [ReplayedCrossing(at, crossing, evaluation.score, owner) for crossing in crossings]

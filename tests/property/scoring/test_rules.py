"""Laws of the rules' state machine, over any sequence of observations."""

from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from scoring.rules.conditions import (
    OK,
    BandRule,
    Condition,
    ConditionVerdict,
    DropRule,
    KnownBand,
    Observation,
    Rule,
    RuleMemory,
    RuleState,
    ScoreRule,
    SilenceRule,
)
from scoring.rules.state_machine import close_day, ready_at, snooze, step, with_earlier_closings, worth_keeping
from scoring.scorecards.measure import Missing, Value
from scoring.scorecards.scorecard import Band
from scoring.state.calendar import day_of, start_of
from tests.support.oracle import number

SECOND = 1_000_000
START = start_of(20_000)


class Glance(NamedTuple):
    """An observation a number of seconds after the last one, and the seconds for which the rule was just snoozed."""

    seconds: int
    score: float | None
    band: Band
    silence: Value
    held: bool
    snoozes: int | None


class Turn(NamedTuple):
    """One step of a sequence."""

    now: int
    observation: Observation
    verdict: ConditionVerdict
    before: RuleMemory
    after: RuleMemory


# Few values, around the levels below, so that courses go to and fro.
scores = st.sampled_from([0.0, 20, 35, 40, 42, 45, 60, 70, 80, 100, None]) | st.floats(0, 100)
glances = st.builds(
    Glance,
    st.sampled_from([1, 30, 59, 60, 61, 600, 86_400]) | st.integers(1, 400_000),
    scores,
    st.sampled_from(["red", "yellow", "green", "unknown"]),
    st.sampled_from([0.0, 1, 2, 3, Missing.NO_USAGE]) | st.floats(0, 10),
    st.sampled_from([False, False, False, True]),
    st.sampled_from([None, None, None, None, 0, 100, 100_000]),
)
courses = st.lists(glances, min_size=12, max_size=40)
known: list[KnownBand] = ["red", "yellow", "green"]
bands = st.lists(st.sampled_from(known), min_size=1, max_size=2, unique=True)


@st.composite
def conditions(draw: st.DrawFn) -> Condition:
    """Rules of all kinds, with and without hysteresis, dwell and cooldown."""
    low, high = sorted([draw(st.sampled_from([20, 35, 40])), draw(st.sampled_from([40, 45, 60, 80]))])
    for_seconds = draw(st.sampled_from([0, 0, 0, 60, 86_400]))
    cooldown_seconds = draw(st.sampled_from([0, 600, 200_000, 2_000_000]))
    kinds: list[Condition] = [
        ScoreRule(direction="below", level=low, clear_level=high),
        ScoreRule(direction="above", level=high, clear_level=low),
        ScoreRule(direction="below", level=low),
        BandRule(to=draw(bands)),
        DropRule(points=draw(st.sampled_from([5, 20, 40])), days=draw(st.sampled_from([1, 3, 30]))),
        SilenceRule(level=draw(st.sampled_from([1, 2.5]))),
    ]
    drawn = draw(st.sampled_from(kinds))
    return replace(drawn, for_seconds=for_seconds, cooldown_seconds=cooldown_seconds)


def play(condition: Condition, course: list[Glance], *, forgets: bool = True) -> list[Turn]:
    """Steps through observations. Every day closes with its last score; a day without one, with the one before."""
    rule, now, memory = Rule("r", "rule", condition), START, OK
    turns: list[Turn] = []
    score: float | None = None
    for glance in course:
        then = day_of(now)
        now += glance.seconds * SECOND
        for day in range(then, day_of(now)):
            memory = close_day(condition, memory, day, score)
        if glance.snoozes is not None:
            memory = snooze(memory, now + glance.snoozes * SECOND if glance.snoozes else 0)
        score = glance.score
        observation = Observation(day_of(now), score, glance.band, glance.silence, glance.held)
        after = step(rule, memory, observation, now)
        turns.append(Turn(now, observation, condition.verdict(memory, observation), memory, after))
        memory = after if not forgets or worth_keeping(condition, after, now) else OK
    return turns


def fires(turn: Turn) -> bool:
    return turn.before.state != "firing" and turn.after.state == "firing"


def clears(turn: Turn) -> bool:
    return turn.before.state == "firing" and turn.after.state != "firing"


@given(conditions(), courses)
def test_between_two_firings_lies_a_clearing(condition: Condition, course: list[Glance]) -> None:
    told = [fires(turn) for turn in play(condition, course) if fires(turn) or clears(turn)]
    assert told == [number % 2 == 0 for number in range(len(told))]


@given(conditions(), courses)
def test_inside_the_hysteresis_and_where_nothing_is_known_nothing_changes_sides(
    condition: Condition, course: list[Glance]
) -> None:
    for turn in play(condition, course):
        if turn.verdict in ("between", "unknown"):
            assert not fires(turn)
            assert not clears(turn)


@given(st.booleans(), courses)
def test_a_score_fires_beyond_the_level_and_clears_at_the_clear_level(below: bool, course: list[Glance]) -> None:
    """The mirror image of a course does the same to the mirror image of the rule."""
    mirrored = [g._replace(score=None if g.score is None else 100 - g.score) for g in course]
    rule = ScoreRule(
        direction="below" if below else "above", level=40 if below else 60, clear_level=45 if below else 55
    )
    for turn in play(rule, course if below else mirrored):
        if turn.observation.score is not None and (fires(turn) or clears(turn)):
            score = turn.observation.score if below else 100 - turn.observation.score
            assert score < 40 if fires(turn) else score >= 45
        else:
            assert not fires(turn)
            assert not clears(turn)


@given(conditions(), courses)
def test_what_clears_is_cleared_at_once(condition: Condition, course: list[Glance]) -> None:
    for turn in play(condition, course):
        if turn.verdict == "clear":
            assert turn.after.state == "ok"


@given(conditions(), courses)
def test_a_dwell_never_fires_early(condition: Condition, course: list[Glance]) -> None:
    """Whenever it fires, the breach was seen to begin a dwell before that, and at every look since."""
    turns = play(condition, course)
    for index, turn in enumerate(turns):
        if fires(turn):
            began = index
            while began and turns[began - 1].verdict == "breach" and not turns[began - 1].observation.held:
                began -= 1
            assert turn.now - turns[began].now >= condition.for_seconds * SECOND


@given(conditions(), courses)
def test_a_cooldown_keeps_firings_apart(condition: Condition, course: list[Glance]) -> None:
    moments = [turn.now for turn in play(condition, course) if fires(turn)]
    assert all(later - earlier >= condition.cooldown_seconds * SECOND for earlier, later in pairwise(moments))


@given(conditions(), courses)
def test_a_snoozed_rule_does_not_begin_to_fire(condition: Condition, course: list[Glance]) -> None:
    until = 0
    for glance, turn in zip(course, play(condition, course), strict=True):
        if glance.snoozes is not None:
            until = turn.now + glance.snoozes * SECOND if glance.snoozes else 0
        assert not (fires(turn) and turn.now < until)


@given(conditions(), courses)
def test_what_is_held_does_not_begin_to_fire(condition: Condition, course: list[Glance]) -> None:
    for turn in play(condition, course):
        if turn.observation.held:
            assert not fires(turn)
            assert turn.after.state != "pending"


@given(conditions(), courses)
def test_with_nothing_to_wait_for_it_fires_at_once(condition: Condition, course: list[Glance]) -> None:
    for turn in play(condition, course):
        waits = (
            condition.for_seconds or condition.cooldown_seconds or turn.before.snoozed_until or turn.observation.held
        )
        if turn.verdict == "breach" and not waits:
            assert turn.after.state == "firing"


@given(conditions(), courses)
def test_a_breach_that_lasts_fires_when_it_is_ready_and_not_before(condition: Condition, course: list[Glance]) -> None:
    rule = Rule("r", "rule", condition)
    for turn in play(condition, course):
        if turn.after.state == "pending":
            ready = ready_at(condition, turn.after)
            assert ready > turn.now
            assert step(rule, turn.after, turn.observation, ready - 1) == turn.after
            assert step(rule, turn.after, turn.observation, ready).state == "firing"


@given(conditions(), courses)
def test_forgetting_what_is_not_worth_keeping_changes_nothing(condition: Condition, course: list[Glance]) -> None:
    forgetful, mindful = play(condition, course), play(condition, course, forgets=False)
    assert [turn.after.state for turn in forgetful] == [turn.after.state for turn in mindful]
    assert [turn.verdict for turn in forgetful] == [turn.verdict for turn in mindful]


tenths = st.integers(0, 1000).map(lambda tenths: tenths / 10)
closings = st.lists(st.tuples(st.integers(1, 4), st.none() | st.sampled_from([20.4, 40.0, 60]) | tenths), max_size=30)
"""Days since the last closing, and the score; null where it was unknown."""


@given(closings, st.integers(1, 10), st.integers(1, 12))
def test_a_fall_is_measured_from_the_highest_closing_in_the_window(
    course: list[tuple[int, float | None]], days: int, later: int
) -> None:
    day, memory = 20_000, OK
    condition = DropRule(points=10, days=days)
    closed: list[tuple[int, Fraction]] = []
    for gap, score in course:
        day += gap
        memory = close_day(condition, memory, day, score)
        closed += [] if score is None else [(day, number(score))]
        for today in (day + 1, day + later):
            high = max([score for then, score in closed if today - days <= then <= today - 1], default=None)
            for now in (0.0, 10.4, 30, 50, 70, 90):
                falls = high is not None and high - number(now) >= 10
                assert condition.verdict(memory, Observation(today, now, "red")) == ("breach" if falls else "clear")


@given(closings, st.integers(1, 10))
def test_no_more_is_remembered_than_a_fall_can_be_measured_from(
    course: list[tuple[int, float | None]], days: int
) -> None:
    day, memory = 20_000, OK
    for gap, score in course:
        day += gap
        memory = close_day(DropRule(points=10, days=days), memory, day, score)
        assert all(day - days < then <= day for then, _ in memory.peaks)
        assert all(a[0] < b[0] and a[1] > b[1] for a, b in pairwise(memory.peaks))


def closed(condition: Condition, memory: RuleMemory, closings: list[tuple[int, float | None]]) -> RuleMemory:
    for day, score in closings:
        memory = close_day(condition, memory, day, score)
    return memory


@given(
    st.lists(scores, max_size=25), st.integers(0, 25), st.integers(1, 12), st.sampled_from(["ok", "pending", "firing"])
)
def test_a_drop_rule_that_learns_of_earlier_days_is_as_if_it_had_seen_them(
    course: list[float | None], turn: int, days: int, state: RuleState
) -> None:
    """However often it learns of them; and nothing of what fires changes by that."""
    condition = DropRule(points=10, days=days)
    closings = list(enumerate(course))
    before = RuleMemory(state, 7, 7)
    late = closed(condition, before, closings[turn:])
    learned = with_earlier_closings(condition, late, closings[:turn], turn)
    again = with_earlier_closings(condition, learned, closings[:turn], turn)
    seen = closed(condition, before, closings)
    today = len(course)
    assert _in_reach(learned, today, days) == _in_reach(again, today, days) == _in_reach(seen, today, days)
    assert replace(learned, peaks=()) == replace(late, peaks=()) == before


def _in_reach(memory: RuleMemory, today: int, days: int) -> list[tuple[int, float]]:
    return [peak for peak in memory.peaks if peak[0] >= today - days]


def test_other_rules_look_at_no_earlier_day() -> None:
    memory = RuleMemory("firing", 7, 7)
    for condition in (ScoreRule(direction="below", level=40), BandRule(to=["red"]), SilenceRule(level=3)):
        assert with_earlier_closings(condition, memory, [(1, 90.0)], 2) == memory

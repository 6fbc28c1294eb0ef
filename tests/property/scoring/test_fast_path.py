"""The fast path gives the same result as the walk day by day, or leaves the account to it unchanged."""

from collections.abc import Sequence
from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET
from msgspec.structs import replace

from scoring.advance import advance
from scoring.history.day_by_day import Course, DayByDay
from scoring.history.fast_path import fold_in_one_day
from scoring.history.journal import entries
from scoring.history.journal_codec import decode_journal, encode_journal
from scoring.history.score_run import ScoreRun
from scoring.rules.conditions import RuleMemory
from scoring.rules.policy import Policy
from scoring.scorecards.document import parse
from scoring.scorecards.override import Override
from scoring.scorecards.scorecard import Scorecard, compile_scorecard
from scoring.scorecards.selection import in_order
from scoring.state.account_state import AccountState
from scoring.state.events import AttributesEvent, Event, SurveyEvent, TicketEvent, UsageEvent
from tests.support.courses import RETENTION, Stop, advance_through, anyhow, policies, streams
from tests.support.folding import encoded
from tests.support.oracle import DAY, HOUR
from tests.support.strategies import FIRST_DAY, batches


def compare(stops: Sequence[Stop]) -> int:
    """Go the short way beside the long one wherever that has events; returns how often it could be gone."""
    state, score_run, taken = AccountState(), None, 0
    memory: dict[str, RuleMemory] = {}
    for stop in stops:
        if stop.override is UNSET:
            taken += _compare(state, score_run, stop)
        step = advance(state, score_run, memory, stop.events, stop.policy, stop.now, override=stop.override)
        score_run, memory = step.score_run, step.memory
    return taken


def _compare(state: AccountState, score_run: ScoreRun | None, stop: Stop) -> bool:
    briefly, at_length, before = deepcopy(state), deepcopy(state), encoded(state)
    short = fold_in_one_day(briefly, score_run, stop.events, stop.policy, stop.now)
    if short is None:
        assert encoded(briefly) == before
        return False
    course = DayByDay(at_length, score_run, stop.policy, stop.now)
    course.run(stop.events)
    assert _merged(short, stop.policy) == _merged(course.finish(), stop.policy)
    assert encoded(briefly) == encoded(at_length)
    return True


def _merged(course: Course, policy: Policy) -> Course:
    """The course with its journal merged, which the walk day by day only does when it records something."""
    stands = course.score_run
    merged = replace(stands, journal=encode_journal(decode_journal(stands.journal, policy.find)))
    return replace(course, score_run=merged)


@st.composite
def days(draw: st.DrawFn) -> list[Stop]:
    """All events on one day by the broker's clock, and an evaluation now and then."""
    events = [replace(event, broker_day=FIRST_DAY) for event in draw(streams())]
    policy = draw(policies())[0]
    cut = draw(batches(events))
    return [Stop(FIRST_DAY * DAY + min(number, 23) * HOUR, batch, policy) for number, batch in enumerate(cut)]


@st.composite
def courses(draw: st.DrawFn) -> list[Stop]:
    return draw(anyhow(draw(streams()), draw(policies())))


@given(days() | courses())
def test_the_short_way_leads_where_the_long_one_does(stops: list[Stop]) -> None:
    compare(stops)


def card(name: str, version: int = 1, **more: object) -> Scorecard:
    measure = {"measure": "active_users", "window": 7, "weight": 1, "curve": [[0, 0], [10, 100]]}
    return compile_scorecard(parse({"name": name, "measures": [measure], **more}, RETENTION), version)


SMALL = card("small", applies_to={"segments": ["smb"], "rank": 1})
POLICY = Policy(in_order([SMALL, card("default")]), (), RETENTION)
NEXT = Policy((card("default", 2),))
NOON = FIRST_DAY * DAY + 12 * HOUR


def used(user: int, days_ago: int = 0, taken: int = FIRST_DAY) -> UsageEvent:
    return UsageEvent("acme", NOON - days_ago * DAY, FIRST_DAY - days_ago, taken, "login", user, 1)


def small(at: int) -> AttributesEvent:
    return AttributesEvent("acme", at, FIRST_DAY, "a", {"segment": "smb"})


KNOWN = Stop(NOON, [used(1)], POLICY)
TOMORROW = Stop(NOON + DAY, [], POLICY)
ALONE = Policy((card("default"),))
SMALL_THEN = Stop(NOON, [small(NOON), used(1)], ALONE)
AHEAD = [
    Stop(NOON, [used(1), small((FIRST_DAY + 1) * DAY)], ALONE),
    Stop(NOON + DAY, [used(5, -1, FIRST_DAY + 1)], ALONE),
]


@pytest.mark.parametrize(
    "stops",
    [
        pytest.param([KNOWN, KNOWN._replace(events=[])], id="nothing but time"),
        pytest.param([KNOWN, Stop(NOON + DAY, [used(2)], POLICY)], id="another day"),
        pytest.param([KNOWN, Stop(NOON, [used(2, taken=FIRST_DAY + 1)], POLICY)], id="another day of the broker's"),
        pytest.param([Stop(NOON, [used(1), used(2, taken=FIRST_DAY + 1)], POLICY)], id="begun today and tomorrow"),
        pytest.param([Stop(NOON, [used(1, taken=FIRST_DAY - 1), used(2)], POLICY)], id="begun yesterday and today"),
        pytest.param([KNOWN, TOMORROW, Stop(NOON + DAY, [used(2)], POLICY)], id="a run that ends"),
        pytest.param([KNOWN, Stop(NOON, [small(NOON)], POLICY)], id="another segment"),
        pytest.param([KNOWN, Stop(NOON, [used(2)], NEXT)], id="another version"),
        pytest.param([SMALL_THEN, Stop(NOON, [used(2)], POLICY)], id="another scorecard"),
        pytest.param([*AHEAD, Stop(NOON + DAY, [used(2, taken=FIRST_DAY + 1)], POLICY)], id="another segment by now"),
        pytest.param([KNOWN, Stop(NOON, [], POLICY, Override("met", "ann", NOON, score=20)), KNOWN], id="an override"),
    ],
)
def test_where_there_is_more_to_it_the_long_way_is_gone(stops: list[Stop]) -> None:
    *before, last = stops
    ridden = advance_through(before)
    assert not _compare(ridden.state, ridden.score_run if before else None, last)


@given(policies(), st.integers(1, 5))
def test_usage_within_a_day_goes_the_short_way(in_turn: list[Policy], times: int) -> None:
    noon = FIRST_DAY * DAY + 12 * HOUR
    uses = [UsageEvent("acme", noon, FIRST_DAY, FIRST_DAY, f"feature {number}", number, 1) for number in range(times)]
    stops = [Stop(noon + number * HOUR, [use], in_turn[0]) for number, use in enumerate(uses)]
    assert compare(stops) == times


def test_events_of_today_and_of_before_are_two_causes_on_the_short_way() -> None:
    stops = [KNOWN, Stop(NOON, [used(2), used(3, days_ago=1), used(4)], POLICY)]
    assert compare(stops) == len(stops)
    stands = advance_through(stops).score_run
    assert stands is not None
    journal = decode_journal(stands.journal, POLICY.find)
    moved = entries(journal, stands.evaluation(POLICY.scorecards[-1]), POLICY.find)
    assert {entry.cause: entry.events for entry, _ in moved} == {"events": 1 + 2, "correction": 1}


def test_news_of_each_signal_moves_its_measures() -> None:
    measures = [
        {"measure": "open_tickets", "weight": 1, "curve": [[0, 0], [10, 100]]},
        {"measure": "active_users", "window": 7, "weight": 1, "curve": [[0, 0], [10, 100]]},
        {"measure": "nps", "window": 7, "weight": 1, "curve": [[-100, 0], [100, 100]]},
    ]
    policy = Policy((card("default", measures=measures),), (), RETENTION)
    ticket = TicketEvent("acme", NOON, FIRST_DAY, "t", "T-1", "open", "high", NOON)
    again = replace(ticket, ticket_id="T-2", id="u")
    answer = SurveyEvent("acme", NOON, FIRST_DAY, "s", "nps", 1, 9_000_000, 10_000_000, 0)
    all_at_once: list[Event] = [used(3), again, replace(answer, score=0, id="v")]
    news: list[list[Event]] = [[used(1)], [ticket], [answer], [used(2)], all_at_once]
    stops = [Stop(NOON + number * HOUR, events, policy) for number, events in enumerate(news)]
    assert compare(stops) == len(stops)


def test_each_cause_forgets_by_the_broker_days_of_its_own_events() -> None:
    """A consumer that lags over midnight: yesterday's events are folded today, with the day of their arrival."""
    measure = {"measure": "silence_ratio", "weight": 1, "curve": [[0, 100], [10, 0]]}
    policy = Policy((card("default", measures=[measure]),), (), RETENTION)
    yesterday = FIRST_DAY - 1
    before = [used(1, days_ago, yesterday) for days_ago in (RETENTION, 5, 3, 2)]
    lagging = [used(1, 1, yesterday), used(2)]
    stops = [Stop(NOON - DAY, before, policy), Stop(NOON, [], policy), Stop(NOON, lagging, policy)]
    *earlier, last = stops
    ridden = advance_through(earlier)
    assert ridden.score_run is not None
    assert ridden.score_run.since == FIRST_DAY
    assert _compare(ridden.state, ridden.score_run, last)

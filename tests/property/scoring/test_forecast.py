"""A forecast is what really happens if nothing does: it equals advancing the account, due by due, without events."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET
from msgspec.structs import replace

from scoring.advance import AccountStep, advance
from scoring.rules.conditions import OK, BandRule, Condition, DropRule, Rule, RuleMemory, ScoreRule, SilenceRule
from scoring.rules.policy import Policy
from scoring.rules.state_machine import snooze
from scoring.scorecards.document import parse
from scoring.scorecards.override import Override
from scoring.scorecards.scorecard import compile_scorecard
from scoring.scorecards.selection import in_order
from scoring.state.account_state import AccountState
from scoring.state.calendar import MICROSECONDS_PER_DAY, MICROSECONDS_PER_HOUR, day_of, start_of
from scoring.state.events import Event
from scoring.whatif.forecast import PredictedCrossing, Situation, forecast
from tests.support.folding import encoded
from tests.support.strategies import dated_ahead, histories, in_log_order
from tests.support.strategies_scorecards import SEGMENTS, STAGES, scorecards

RETENTION = 30
LONGEST = 40
HOUR, DAY = MICROSECONDS_PER_HOUR, MICROSECONDS_PER_DAY
LATER = st.sampled_from([0, 0, 0, HOUR // 6, HOUR, DAY, 3 * DAY + HOUR, 3 * DAY + HOUR, 405 * DAY, -30 * HOUR])
"""The time since the account was last evaluated; clocks can also be behind."""


class Crossed(NamedTuple):
    """A crossing as it is compared."""

    rule: str
    state: str
    at: int
    score: float | None


@st.composite
def conditions(draw: st.DrawFn) -> Condition:
    """A rule of any kind, for all accounts or some, with dwell and cooldown of minutes to days."""
    low, high = draw(st.sampled_from([(20, 30), (40, 40), (45, 80), (60, 70), (85, 90), (0, 100)]))
    kinds: list[tuple[type[Condition], dict[str, Any]]] = [
        (ScoreRule, {"direction": "below", "level": low, "clear_level": high}),
        (ScoreRule, {"direction": "above", "level": high, "clear_level": low}),
        (BandRule, {"to": draw(st.sampled_from([["red"], ["red", "yellow"], ["green"]]))}),
        (DropRule, {"points": draw(st.sampled_from([0.5, 5, 20])), "days": draw(st.sampled_from([1, 3, 30]))}),
        (SilenceRule, {"level": draw(st.sampled_from([0.5, 2, 5]))}),
    ]
    kind, parts = draw(st.sampled_from(kinds))
    seconds = st.sampled_from([0, 0, 600, 43_200, 86_400, 250_000])
    segments = draw(st.sampled_from([*[None] * 4, list(SEGMENTS), ["smb"]]))
    condition: Condition = kind(**parts, segments=segments, for_seconds=draw(seconds), cooldown_seconds=draw(seconds))
    return condition


FADING: dict[str, Any] = {
    "measures": [
        {"measure": "days_since_last_use", "weight": 3, "curve": [[0, 100], [5, 60], [20, 0]]},
        {"measure": "active_days", "window": 15, "weight": 2, "curve": [[0, 0], [4, 100]]},
        {"measure": "oldest_open_ticket_days", "weight": 2, "curve": [[0, 100], [30, 0]]},
        {"measure": "tickets_created", "window": 7, "weight": 1, "curve": [[0, 100], [2, 0]]},
        {"measure": "days_since_survey", "weight": 1, "curve": [[0, 0], [60, 100]]},
    ],
    "min_coverage": 0,
}
"""A scorecard whose scores time alone moves, up and down."""


@st.composite
def documents(draw: st.DrawFn, about: dict[str, Any]) -> dict[str, Any]:
    """A scorecard: any, or one that time moves."""
    return {**draw(scorecards(RETENTION)), **draw(st.sampled_from([{}, FADING, FADING])), **about}


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """Up to four rules; a default scorecard beside some that are for a while of tenure, or a stage."""
    drawn = [draw(documents({"name": "default"}))]
    limits = st.tuples(st.sampled_from([0, 100]), st.sampled_from([217, 230, 260])).map(list)
    for name in draw(st.sampled_from([[], ["young"], ["young", "staged"]])):
        applies = {"tenure_days": draw(limits)} if name == "young" else {"stages": [draw(st.sampled_from(STAGES))]}
        drawn.append(draw(documents({"name": name, "applies_to": applies})))
    cards = in_order([compile_scorecard(parse(document, RETENTION), 1) for document in drawn])
    rules = draw(st.lists(conditions(), min_size=draw(st.sampled_from([0, 2])), max_size=4))
    quiet = draw(st.sampled_from([*[frozenset[str]()] * 5, frozenset(["crm"])]))
    named = tuple(Rule(f"rule-{index}", f"Rule {index}", condition) for index, condition in enumerate(rules))
    return Policy(cards, named, retention=RETENTION, silent_sources=quiet)


def overrides(now: int) -> st.SearchStrategy[Override | None]:
    """None, or a score or band by hand that lasts for some time, or for good."""
    ends = st.sampled_from([None, now + HOUR, now + 30 * HOUR, now + 5 * DAY])
    by_hand = st.sampled_from([(5.0, None), (95.0, None), (None, "red"), (None, "green")])
    made = st.builds(lambda what, end: Override("because", "ann", now, what[0], what[1], end), by_hand, ends)
    return st.one_of(st.none(), st.none(), made)


def lived(events: list[Event], policy: Policy, hour: int, override: Override | None) -> tuple[Situation, int]:
    """The results of folding the events day by day, at that hour of each day and at its last instant."""
    state, score_run, memory, now = AccountState(), None, dict[str, RuleMemory](), 0
    for day in sorted({event.broker_day for event in events}):
        now = start_of(day) + hour * HOUR
        came = [event for event in events if event.broker_day == day]
        step = advance(state, score_run, memory, came, policy, now, source="crm")
        score_run, memory = step.score_run, step.memory
    if override is not None and score_run is not None:
        step = advance(state, score_run, memory, [], policy, now, source="crm", override=override)
        score_run, memory = step.score_run, step.memory
    return Situation(state, score_run, memory, "crm"), now


@st.composite
def situations(draw: st.DrawFn, policy: Policy) -> tuple[Situation, int]:
    """An account with events, some dated ahead, and an instant at which it is read."""
    events = in_log_order(draw(histories(RETENTION, span=20)))
    events = [dated_ahead(event) if ahead else event for event, ahead in zip(events, _tail(draw, events), strict=True)]
    hour = draw(st.sampled_from([0, 9, 23]))
    newest = max([event.broker_day for event in events], default=20_000)
    override = draw(overrides(start_of(newest) + hour * HOUR))
    situation, seen_at = lived(events, policy, hour, override)
    memory = situation.memory
    now = max(seen_at, start_of(newest)) + draw(LATER)
    if draw(st.booleans()) and memory:
        rule = draw(st.sampled_from(sorted(memory)))
        snoozed = snooze(memory[rule], now + draw(st.sampled_from([HOUR, 2 * DAY, 9 * DAY])))
        situation = replace(situation, memory={**memory, rule: snoozed})
    if situation.score_run is not None and draw(st.sampled_from([False, False, False, True])):
        situation = replace(situation, score_run=replace(situation.score_run, scorecard="gone"))
    return situation, now


def _tail(draw: st.DrawFn, events: list[Event]) -> list[bool]:
    """The events to date ahead: some of the last three."""
    drawn = draw(st.lists(st.booleans(), min_size=3, max_size=3))
    return [False] * max(0, len(events) - 3) + drawn[: len(events)]


def really(situation: Situation, policy: Policy, now: int, days: int) -> Iterator[tuple[int, AccountStep]]:
    """The steps at `now` and whenever the account is due, up to the end of a number of days later."""
    state, score_run, memory, end = deepcopy(situation.state), situation.score_run, situation.memory, None
    while end is None or now < end:
        step = advance(state, score_run, memory, [], policy, now, source=situation.source, override=UNSET)
        yield now, step
        score_run, memory = step.score_run, step.memory
        end = end or start_of(step.evaluation.day + days + 1)
        now = step.due


def crossed(foreseen: PredictedCrossing) -> Crossed:
    return Crossed(foreseen.rule.id, foreseen.state, foreseen.at, foreseen.evaluation.score)


# Many accounts cross nothing, so it takes more of them.
@settings(max_examples=3 * settings().max_examples)
@given(st.data(), policies(), st.sampled_from([LONGEST, 7, 1, 0]))
def test_a_forecast_equals_what_happens(data: st.DataObject, policy: Policy, days: int) -> None:
    situation, now = data.draw(situations(policy))
    steps = list(really(situation, policy, now, days))
    first: dict[str, Crossed] = {}
    for at, step in steps:
        for crossing in step.crossings:
            happened = Crossed(crossing.rule.id, crossing.state, at, step.evaluation.score)
            first.setdefault(crossing.rule.id, happened)
    by_day = {step.evaluation.day: step.evaluation for _, step in steps}

    before = encoded(situation.state)
    foretold = forecast(situation, policy, now, days)
    assert [foretold.now, *foretold.days] == list(by_day.values())
    assert [crossed(each) for each in foretold.crossings] == list(first.values())

    later = [
        each
        for each in first.values()
        if each.state == "firing" and each.at > now and situation.memory.get(each.rule, OK).state != "firing"
    ]
    assert [crossed(each) for each in foretold.firings] == later
    partial = forecast(situation, policy, now, days, whole=False)
    assert partial.firings == foretold.firings
    assert partial.days == foretold.days[: len(partial.days)]
    assert encoded(situation.state) == before


@given(st.data(), policies(), st.sampled_from([LONGEST, 7, 1, 0]))
def test_a_longer_forecast_begins_as_a_shorter_one(data: st.DataObject, policy: Policy, days: int) -> None:
    situation, now = data.draw(situations(policy))
    short, long = forecast(situation, policy, now, days), forecast(situation, policy, now, LONGEST)
    assert long.days[:days] == short.days
    end = start_of(short.now.day + days + 1)
    assert [each for each in long.crossings if each.at < end] == short.crossings
    assert all(day_of(each.at) <= each.evaluation.day for each in long.crossings)

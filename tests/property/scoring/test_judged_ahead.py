"""An account that was evaluated at a day to come, by a wrong clock, reads as if that had never happened."""

from copy import deepcopy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from scoring.advance import advance
from scoring.history.explanation import explain_change
from scoring.history.runs import Past, up_to_now
from scoring.history.score_run import ScoreRun, is_ahead
from scoring.rules.conditions import RuleMemory
from scoring.rules.policy import Policy
from scoring.state.account_state import AccountState
from scoring.state.calendar import MICROSECONDS_PER_DAY as DAY
from scoring.state.calendar import MICROSECONDS_PER_HOUR as HOUR
from scoring.state.calendar import day_of, start_of
from scoring.whatif.forecast import Situation, forecast
from tests.property.scoring.test_forecast import RETENTION, policies
from tests.support.strategies import histories, in_log_order


class Life:
    """An account to which events came, day by day."""

    def __init__(self) -> None:
        self.state = AccountState()
        self.score_run: ScoreRun | None = None
        self.memory: dict[str, RuleMemory] = {}
        self.closed: list[ScoreRun] = []

    def step(self, policy: Policy, now: int, events: Any = ()) -> None:
        step = advance(self.state, self.score_run, self.memory, events, policy, now)
        self.score_run, self.memory = step.score_run, step.memory
        self.closed += step.closed

    def past(self, policy: Policy, now: int) -> Past:
        return up_to_now(self.closed, deepcopy(self.state), self.score_run, policy, now)


def read(past: Past, day: int) -> Any:
    run = past.at(day)
    return run and (run.score, run.band, run.coverage, run.scorecard, run.version, run.override)


@given(st.data(), policies(), st.integers(1, 40), st.booleans())
def test_the_past_and_the_forecast_are_those_of_today(
    data: st.DataObject, policy: Policy, wrong: int, more: bool
) -> None:
    events = in_log_order(data.draw(histories(RETENTION, span=20)))
    life, now = Life(), 20_000 * DAY
    for day in sorted({event.broker_day for event in events}):
        now = start_of(day) + 9 * HOUR
        life.step(policy, now, [event for event in events if event.broker_day == day])
    now += data.draw(st.sampled_from([0, HOUR, DAY, 9 * DAY]))
    right = deepcopy(life)
    right.step(policy, now)
    life.step(policy, now)
    life.step(policy, now + wrong * DAY)
    assert life.score_run is not None
    assert is_ahead(life.score_run.day, now)
    if more and events:
        now += HOUR
        again = [events[-1]]  # a copy changes nothing, and is evaluated at the day to come
        right.step(policy, now, again)
        life.step(policy, now, again)
    expected, found = right.past(policy, now), life.past(policy, now)
    today = day_of(now)
    assert found.runs[-1].day == expected.runs[-1].day == today
    for day in range(expected.first_day - 1, today + 2):
        assert read(found, day) == read(expected, day)
    for first in range(found.first_day - 1, today + 1):
        told, meant = (explain_change(each, first, today, policy.find) for each in (found, expected))
        assert told is not None
        assert meant is not None
        assert told.change == meant.change == sum(effect.delta for effect in told.effects)
    was, is_now = (forecast(Situation(each.state, each.score_run), policy, now, 5) for each in (right, life))
    assert (is_now.now, is_now.days) == (was.now, was.days)

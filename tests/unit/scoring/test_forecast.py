"""The effect of silence, case by case."""

from msgspec.structs import replace

from scoring.advance import advance
from scoring.rules.conditions import Condition, DropRule, Rule, RuleMemory, ScoreRule, SilenceRule
from scoring.rules.policy import Policy
from scoring.rules.state_machine import snooze
from scoring.scorecards.document import parse
from scoring.scorecards.override import Override
from scoring.scorecards.scorecard import compile_scorecard
from scoring.scorecards.selection import in_order
from scoring.state.account_state import AccountState
from scoring.state.calendar import MICROSECONDS_PER_HOUR
from scoring.state.events import Event
from scoring.whatif.forecast import PredictedCrossing, Situation, forecast
from tests.support.facts import TODAY, noon, used, with_attributes

NOW = noon(0)
HOUR = MICROSECONDS_PER_HOUR
DAILY = [used(ago) for ago in range(10, -1, -1)]
"""Used every day up to now."""
FALLING = {"measure": "days_since_last_use", "weight": 1, "curve": [[0, 100], [10, 0]]}
"""Ten points less with every day of silence."""
BELOW_75 = ScoreRule(direction="below", level=75)


def policy_of(*conditions: Condition, quiet: frozenset[str] = frozenset()) -> Policy:
    documents = [
        {"name": "default", "measures": [FALLING]},
        {
            "name": "young",
            "measures": [{**FALLING, "curve": [[0, 100], [100, 0]]}],
            "applies_to": {"tenure_days": [0, 30]},
        },
    ]
    cards = in_order([compile_scorecard(parse(document, 92), 1) for document in documents])
    rules = tuple(Rule(f"{index}", f"rule {index}", condition) for index, condition in enumerate(conditions))
    return Policy(cards, rules, silent_sources=quiet)


def situation_of(policy: Policy, *events: Event, override: Override | None = None) -> Situation:
    """The situation after the events that have come by now."""
    state = AccountState()
    step = advance(state, None, {}, events or DAILY, policy, NOW, source="crm", override=override)
    return Situation(state, step.score_run, step.memory, "crm")


def crossings(situation: Situation, policy: Policy, days: int = 20) -> list[tuple[str, int, float | None]]:
    """The forecast's, with days from today on."""
    found = forecast(situation, policy, NOW, days).crossings
    return [(each.state, each.evaluation.day - TODAY, each.evaluation.score) for each in found]


def firings(situation: Situation, policy: Policy, now: int = NOW, days: int = 20) -> list[PredictedCrossing]:
    return forecast(situation, policy, now, days, whole=False).firings


def fires(situation: Situation, policy: Policy, days: int = 20) -> list[int]:
    """The number of days until rules begin to fire."""
    return [each.evaluation.day - TODAY for each in firings(situation, policy, days=days)]


def test_the_score_of_each_day_to_come() -> None:
    policy = policy_of()
    foretold = forecast(situation_of(policy), policy, NOW, 12)
    assert (foretold.now.day, foretold.now.score) == (TODAY, 100)
    assert [(each.day - TODAY, each.score) for each in foretold.days] == [
        *((day, 100 - 10 * day) for day in range(1, 11)),
        (11, 0),
        (12, 0),
    ]
    assert foretold.crossings == []


def test_a_rule_fires_on_the_first_day_beyond_its_level() -> None:
    policy = policy_of(BELOW_75)
    situation = situation_of(policy)
    assert crossings(situation, policy) == [("firing", 3, 70)]
    assert fires(situation, policy) == [3]
    assert crossings(situation, policy, days=2) == []
    assert fires(situation, policy, days=2) == []


def test_days_after_the_last_firing_are_left_out_unless_it_is_to_be_whole() -> None:
    policy = policy_of(BELOW_75, replace(BELOW_75, level=55))
    situation = situation_of(policy)
    partial, whole = (forecast(situation, policy, NOW, 20, whole=whole) for whole in (False, True))
    assert (len(partial.days), len(whole.days)) == (5, 20)
    assert partial.days == whole.days[:5]
    assert partial.firings == whole.firings
    assert len(forecast(situation_of(policy_of()), policy_of(), NOW, 20, whole=False).days) == 0


def test_a_dwell_is_waited_for_to_the_instant() -> None:
    policy = policy_of(replace(BELOW_75, for_seconds=86_400 + 3_600))
    (foreseen,) = firings(situation_of(policy), policy)
    assert foreseen.at == noon(-4) - 11 * HOUR
    assert foreseen.evaluation.score == 60


def test_a_dwell_can_end_today() -> None:
    policy = policy_of(ScoreRule(direction="above", level=50, for_seconds=3_600))
    situation = situation_of(policy)
    assert fires(situation, policy) == [0]
    # An hour later it is over: the rule fires now, and the list of crossings to come is empty.
    assert [each.at for each in forecast(situation, policy, NOW + HOUR, 20).crossings] == [NOW + HOUR]
    assert firings(situation, policy, NOW + HOUR) == []


def test_a_snooze_puts_off_the_day() -> None:
    policy = policy_of(BELOW_75)
    situation = situation_of(policy)
    snoozed = replace(situation, memory={"0": snooze(RuleMemory(), noon(-6))})
    assert fires(snoozed, policy) == [6]


def test_a_firing_rule_has_the_day_of_its_end_and_is_not_listed() -> None:
    policy = policy_of(ScoreRule(direction="above", level=50), BELOW_75)
    situation = situation_of(policy)
    assert crossings(situation, policy) == [("firing", 3, 70), ("resolved", 5, 50)]
    assert fires(situation, policy) == [3]


def test_a_fall_is_measured_from_the_days_that_will_have_closed() -> None:
    policy = policy_of(DropRule(points=20, days=1), DropRule(points=20, days=2), SilenceRule(level=4))
    assert crossings(situation_of(policy), policy) == [("firing", 2, 80), ("firing", 4, 60)]


def test_days_that_nobody_looked_at_have_closed_too() -> None:
    policy = policy_of(DropRule(points=50, days=5))
    situation = situation_of(policy, *(used(ago) for ago in range(10, 3, -1)))
    early = advance(AccountState(), None, {}, [used(ago) for ago in range(10, 3, -1)], policy, noon(4))
    behind = Situation(situation.state, early.score_run, early.memory)
    assert fires(behind, policy) == [1]


def test_an_override_is_what_rules_see_until_it_expires() -> None:
    policy = policy_of(BELOW_75)
    by_hand = Override("because", "ann", NOW, score=90, expires_at=noon(-5))
    situation = situation_of(policy, override=by_hand)
    foretold = forecast(situation, policy, NOW, 20)
    assert foretold.days[4].score == 50
    assert [each.at for each in foretold.crossings] == [noon(-5)]
    forever = replace(by_hand, expires_at=None)
    assert fires(situation_of(policy, override=forever), policy) == []


def test_the_scorecard_is_the_one_of_each_day() -> None:
    policy = policy_of(BELOW_75)
    situation = situation_of(policy, *DAILY, with_attributes(started_on="2026-01-21"))
    days = forecast(situation, policy, NOW, 30).days
    names = [each.card.name for each in days]
    moved = names.index("default")
    assert names == ["young"] * moved + ["default"] * (30 - moved)
    assert 0 < moved < 30
    assert fires(situation, policy, 30) == [moved + 1]


def test_a_rule_that_is_for_others_never_fires() -> None:
    policy = policy_of(replace(BELOW_75, segments=["smb"]))
    assert fires(situation_of(policy), policy) == []
    assert fires(situation_of(policy, *DAILY, with_attributes(segment="smb")), policy) == [3]


def test_while_its_source_is_quiet_nothing_is_foreseen() -> None:
    policy = policy_of(BELOW_75, quiet=frozenset(["crm"]))
    situation = situation_of(policy)
    assert fires(situation, policy) == []
    assert fires(replace(situation, source="another"), policy) == [3]

"""Crossings by the change of a rule are separated from the account's own, by the score run before the step."""

from dataclasses import dataclass, field

import msgspec
import pytest

from scoring.advance import AccountStep, advance
from scoring.history.score_run import ScoreRun
from scoring.rules.conditions import BandRule, Condition, DropRule, Rule, ScoreRule, SilenceRule
from scoring.rules.crossings import Crossing, Memories
from scoring.rules.policy import Policy
from scoring.scorecards.document import ScorecardDocument
from scoring.scorecards.scorecard import compile_scorecard
from scoring.scorecards.selection import in_order
from scoring.state.account_state import AccountState
from scoring.state.calendar import start_of
from scoring.state.events import AttributesEvent, Event, UsageEvent

DAY = 20_000
HOUR, SECOND = 3_600_000_000, 1_000_000
NOON = start_of(DAY) + 12 * HOUR
LOW = ScoreRule(direction="below", level=40)
DOCUMENT = {
    "name": "default",
    "measures": [{"measure": "active_days", "window": 30, "weight": 1, "curve": [[0, 0], [20, 100]]}],
    "bands": {"red": 0, "yellow": 40, "green": 70},
}
CARDS = in_order([compile_scorecard(msgspec.convert(DOCUMENT, ScorecardDocument), 1)])


def use(*ago: int) -> list[Event]:
    return [UsageEvent("acme", start_of(DAY - each), DAY - each, DAY, "login", 1, 1) for each in ago]


def policy(condition: Condition | None, *, changed: bool = True, retired: Condition | None = None) -> Policy:
    return Policy(
        CARDS,
        (Rule("r", "rule", condition),) if condition else (),
        retired={"r": Rule("r", "rule", retired)} if retired else {},
        changed=frozenset({"r"}) if changed else frozenset(),
    )


@dataclass
class Account:
    """An account that is stepped from policy to policy."""

    state: AccountState = field(default_factory=AccountState)
    score_run: ScoreRun | None = None
    memory: Memories = field(default_factory=dict)

    def step(self, policy: Policy, *events: Event, now: int = NOON) -> list[tuple[str, bool]]:
        """The crossings, and whether the change caused each."""
        step: AccountStep = advance(self.state, self.score_run, self.memory, events, policy, now)
        self.score_run, self.memory = step.score_run, step.memory
        crossings: list[Crossing] = step.crossings
        return [(each.state, each.by_change) for each in crossings]


@pytest.fixture
def low() -> Account:
    """An account that scores 25."""
    account = Account()
    account.step(policy(None), *use(0, 1, 2, 3, 4))
    return account


@pytest.mark.parametrize("condition", [LOW, BandRule(to=["red"]), SilenceRule(level=0.001)])
def test_a_new_rule_fires_by_its_making(low: Account, condition: Condition) -> None:
    at = NOON if not isinstance(condition, SilenceRule) else NOON + 24 * HOUR
    low.step(policy(None), now=at)
    assert low.step(policy(condition), now=at) == [("firing", True)]


def test_a_new_rule_on_drops_fires_by_its_making() -> None:
    account = Account()
    watching = policy(DropRule(points=90, days=30), changed=False)
    account.step(watching, *use(*range(10)))
    for day in range(1, 25):
        account.step(watching, now=NOON + day * 24 * HOUR)
    assert account.step(policy(DropRule(points=20, days=30)), now=NOON + 24 * 24 * HOUR) == [("firing", True)]


def test_events_that_come_first_do_it_themselves(low: Account) -> None:
    """The new rule alone would not have fired; then events, or an attribute, make it."""
    other = ScoreRule(direction="above", level=60)
    assert low.step(policy(other), *use(*range(5, 20))) == [("firing", False)]
    account = Account()
    account.step(policy(None), *use(0))
    assert account.step(policy(ScoreRule(direction="below", level=40, segments=["smb"]))) == []
    about = AttributesEvent("acme", NOON, DAY, "e", {"segment": "smb"})
    assert account.step(policy(ScoreRule(direction="below", level=40, segments=["smb"])), about) == [("firing", False)]


def test_an_account_that_recovers_before_a_new_rule_sees_it_crosses_nothing(low: Account) -> None:
    assert low.step(policy(LOW), *use(*range(5, 20))) == []


def test_an_account_that_was_never_evaluated_crosses_by_itself() -> None:
    assert Account().step(policy(LOW), *use(0)) == [("firing", False)]


@pytest.mark.parametrize(
    "changed",
    [ScoreRule(direction="below", level=20), ScoreRule(direction="below", level=40, stages=["live"])],
)
def test_tightened_or_for_others_it_ends_by_the_change(low: Account, changed: Condition) -> None:
    assert low.step(policy(LOW)) == [("firing", True)]
    assert low.step(policy(changed)) == [("resolved", True)]
    assert low.step(policy(LOW)) == [("firing", True)]


def test_out_of_force_it_ends_by_the_change_and_else_by_itself(low: Account) -> None:
    low.step(policy(LOW))
    assert low.step(policy(None, retired=LOW)) == [("resolved", True)]
    low.step(policy(LOW))
    assert low.step(policy(None, retired=LOW, changed=False)) == [("resolved", False)]
    low.step(policy(LOW))
    assert low.step(policy(LOW, changed=False), *use(*range(5, 20))) == [("resolved", False)]


def test_a_shorter_dwell_fires_by_the_change_what_it_makes_wait_waits_in_bulk(low: Account) -> None:
    waiting = ScoreRule(direction="below", level=40, for_seconds=3600)
    assert low.step(policy(waiting)) == []
    assert low.memory["r"].bulk
    (dwelt,) = advance(low.state, low.score_run, low.memory, [], policy(waiting, changed=False), NOON + HOUR).crossings
    assert (dwelt.state, dwelt.bulk, dwelt.by_change) == ("firing", True, False)
    shorter = ScoreRule(direction="below", level=40, for_seconds=60)
    assert low.step(policy(shorter), now=NOON + 60 * SECOND) == [("firing", True)]


def test_what_another_rules_change_does_not_move_is_the_accounts_own(low: Account) -> None:
    both = Policy(CARDS, (Rule("r", "rule", LOW), Rule("s", "other", LOW)), changed=frozenset({"s"}))
    assert low.step(both) == [("firing", False), ("firing", True)]

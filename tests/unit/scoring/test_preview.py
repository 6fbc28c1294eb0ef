"""The effect of a draft on well-known accounts."""

from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from scoring.advance import advance
from scoring.rules.conditions import Rule, ScoreRule
from scoring.rules.policy import Policy
from scoring.scorecards.document import parse
from scoring.scorecards.scorecard import compile_scorecard
from scoring.scorecards.selection import in_order
from scoring.state.account_state import AccountState
from scoring.state.calendar import start_of
from scoring.whatif.preview import PolicyDraft, PreviewChange, PreviewedAccount, draft, preview
from scoring.whatif.preview_summary import MOST_MOVES, PreviewShift, PreviewSummary, PreviewTotals, Range
from tests.support.facts import TODAY, state_of, used, with_attributes

RETENTION = 30
NOON = start_of(TODAY) + 12 * 3_600_000_000
LOW = Rule("low", "Low", ScoreRule(direction="below", level=40, clear_level=50))
Document = dict[str, Any]


def documented(most: int, **changed: Any) -> Document:
    """A scorecard that gives 100 for a number of active days in ten."""
    active_days = {"measure": "active_days", "window": 10, "weight": 1, "curve": [[0, 0], [most, 100]]}
    return {"name": "default", "measures": [active_days], "min_coverage": 0, **changed}


def policy_of(*documents: Document, rules: Sequence[Rule] = ()) -> Policy:
    cards = in_order(compile_scorecard(parse(document, RETENTION), 1) for document in documents)
    return Policy(cards, tuple(rules), RETENTION)


def drafted(document: Document, present: Policy) -> PolicyDraft:
    return draft(parse(document, RETENTION), present)


def judged(account_id: str, state: AccountState, policy: Policy, now: int = NOON) -> PreviewedAccount:
    """An account that was evaluated at `now`."""
    step = advance(state, None, {}, (), policy, now)
    return PreviewedAccount(account_id, state, step.score_run, step.memory)


def active(account_id: str, days: int, policy: Policy, **attributes: str) -> PreviewedAccount:
    """An account that was active on a number of days, without today."""
    return judged(
        account_id, state_of(with_attributes(0, **attributes), *[used(ago) for ago in range(days, 0, -1)]), policy
    )


def outlook_of(changes: Sequence[PreviewChange], planned: PolicyDraft) -> PreviewSummary:
    totals = PreviewTotals(planned)
    for change in changes:
        totals.add(change)
    return totals.summary()


def looking_at(accounts: Sequence[PreviewedAccount], planned: PolicyDraft) -> PreviewSummary:
    return outlook_of([preview(account, planned, NOON) for account in accounts], planned)


PRESENT = policy_of(documented(10), rules=[LOW])
STRICTER = drafted(documented(20), PRESENT)


def test_a_stricter_curve_moves_bands_and_scores_down_and_says_why() -> None:
    summary = looking_at([active(f"a{days}", days, PRESENT, name=f"A {days}") for days in (2, 4, 8)], STRICTER)
    assert (summary.judged, summary.covered, summary.scorecards) == (3, 3, [])
    assert summary.bands == [
        PreviewShift("green", "yellow", 1),
        PreviewShift("red", "red", 1),
        PreviewShift("yellow", "red", 1),
    ]
    assert summary.score.mean == pytest.approx(-(10 + 20 + 40) / 3)
    assert summary.score.up == []
    assert [(move.account_id, move.before, move.after) for move in summary.score.down] == [
        ("a8", 80, 40),
        ("a4", 40, 20),
        ("a2", 20, 10),
    ]
    worst = summary.score.down[0]
    assert (worst.name, worst.band_before, worst.band_after) == ("A 8", "green", "yellow")
    assert [(driver.measure, driver.delta) for driver in worst.drivers] == [("active_days", -40)]


def test_alerts_are_those_that_the_draft_alone_would_set_off() -> None:
    fires, fired_before, not_yet = (active(str(days), days, PRESENT) for days in (6, 3, 9))
    rule = looking_at([fires, fired_before, not_yet], STRICTER).rules
    assert [(each.name, each.firing, each.resolved) for each in rule] == [("Low", 1, 0)]
    milder = drafted(documented(5), PRESENT)
    assert [(each.firing, each.resolved) for each in looking_at([fired_before], milder).rules] == [(0, 1)]


def test_what_time_alone_would_set_off_is_not_the_draft_s_doing() -> None:
    """An account that wasn't evaluated for days, and whose score has gone below the level meanwhile."""
    state = state_of(*[used(ago) for ago in range(15, 6, -1)])
    old = judged("old", state, PRESENT, start_of(TODAY - 7))
    change = preview(old, drafted(documented(10), PRESENT), NOON)
    assert old.memory == {}
    assert change.before.score == change.after.score == 30
    assert change.crossings == []
    assert advance(state, old.score_run, old.memory, (), PRESENT, NOON).crossings != []


def test_a_draft_beside_the_others_covers_those_whom_it_is_for() -> None:
    beside = drafted(documented(20, name="smb", applies_to={"segments": ["smb"]}), PRESENT)
    accounts = [active("small", 8, PRESENT, segment="smb"), active("large", 8, PRESENT, segment="large")]
    summary = looking_at(accounts, beside)
    assert beside.replaces is None
    assert (summary.judged, summary.covered) == (2, 1)
    assert summary.scorecards == [PreviewShift("default", "smb", 1)]
    assert [move.account_id for move in summary.score.down] == ["small"]


def test_accounts_that_a_draft_no_longer_is_for_go_to_the_default() -> None:
    present = policy_of(documented(10), documented(20, name="smb", applies_to={"segments": ["smb"]}))
    narrower = drafted(documented(20, name="smb", applies_to={"segments": ["micro"]}), present)
    summary = looking_at([active("small", 8, present, segment="smb")], narrower)
    assert narrower.replaces
    assert (narrower.card.version, summary.covered) == (2, 0)
    assert summary.scorecards == [PreviewShift("smb", "default", 1)]
    assert [move.account_id for move in summary.score.up] == ["small"]


def test_without_a_score_there_is_no_change_of_it() -> None:
    summary = looking_at([judged("new", state_of(), PRESENT)], STRICTER)
    assert summary.bands == [PreviewShift("unknown", "unknown", 1)]
    assert (summary.score.compared, summary.score.mean) == (0, None)


def test_the_largest_moves_are_kept_and_of_equal_ones_the_first_account() -> None:
    names = [f"a{number:02}" for number in range(25)]
    days = {name: 4 + 4 * (index % 2) for index, name in enumerate(names)}
    accounts = [active(name, days[name], PRESENT) for name in names]
    for order in (accounts, accounts[::-1]):
        down = looking_at(order, STRICTER).score.down
        assert len(down) == MOST_MOVES
        assert [move.account_id for move in down] == [name for name in names if days[name] == 8][:MOST_MOVES]


@pytest.mark.parametrize(
    ("points", "low", "high"),
    [
        (0.0, -1, 1), (0.999, -1, 1), (-0.999, -1, 1), (1.0, 1, 5), (-1.0, -5, -1), (4.9, 1, 5), (5.0, 5, 10),
        (-5.0, -10, -5), (19.9, 10, 20), (20.0, 20, None), (-20.0, None, -20), (50.0, 20, None), (-50.0, None, -20),
    ],
)  # fmt: skip
def test_a_change_is_counted_in_one_range(points: float, low: float | None, high: float | None) -> None:
    change = preview(active("a5", 5, PRESENT), STRICTER, NOON)
    change = replace(change, before=replace(change.before, score=50.0), after=replace(change.after, score=50 + points))
    counted = [each for each in outlook_of([change], STRICTER).score.distribution if each.accounts]
    assert counted == [Range(low, high, 1)]

"""Alert rules, case by case."""

from collections.abc import Iterable, Sequence
from typing import Literal

import pytest
from msgspec.structs import replace

from scoring.rules.conditions import (
    OK,
    BandRule,
    Condition,
    DropRule,
    Observation,
    Rule,
    RuleMemory,
    ScoreRule,
    SilenceRule,
)
from scoring.rules.state_machine import close_day, end, ready_at, snooze, step, worth_keeping
from scoring.scorecards.measure import Missing

SECOND = 1_000_000
AT_RISK = ScoreRule(direction="below", level=40, clear_level=45)
FALL = DropRule(points=20, days=7)


def scored(score: float | None, day: int = 0, *, held: bool = False) -> Observation:
    return Observation(day, score, "unknown", held=held)


def look(condition: Condition, memory: RuleMemory, seen: Observation, second: int) -> RuleMemory:
    return step(Rule("r", "rule", condition), memory, seen, second * SECOND)


def after(condition: Condition, course: Sequence[tuple[int, float | None]], memory: RuleMemory = OK) -> list[str]:
    states: list[str] = []
    for second, score in course:
        memory = look(condition, memory, scored(score), second)
        states.append(memory.state)
    return states


def closed(condition: Condition, closings: Iterable[tuple[int, float | None]]) -> RuleMemory:
    memory = OK
    for day, score in closings:
        memory = close_day(condition, memory, day, score)
    return memory


def test_it_fires_below_the_level_and_clears_at_the_clear_level() -> None:
    scores = [(1, 50.0), (2, 40.0), (3, 39.9), (4, 44.9), (5, 30.0), (6, 45.0), (7, 41.0), (8, 39.0)]
    assert after(AT_RISK, scores) == ["ok", "ok", "firing", "firing", "firing", "ok", "ok", "firing"]


def test_above_is_the_mirror_image() -> None:
    rule = ScoreRule(direction="above", level=80, clear_level=75)
    assert after(rule, [(1, 80.0), (2, 80.1), (3, 76.0), (4, 75.0)]) == ["ok", "firing", "firing", "ok"]


def test_an_unknown_score_neither_fires_nor_clears() -> None:
    assert after(AT_RISK, [(1, None), (2, 10.0), (3, None), (4, 50.0)]) == ["ok", "firing", "firing", "ok"]


def test_a_dwell_starts_again_when_the_score_recovers() -> None:
    rule = ScoreRule(direction="below", level=40, for_seconds=60)
    scores: list[tuple[int, float | None]] = [(0, 30.0), (59, 30.0), (60, 30.0)]
    assert after(rule, scores) == ["pending", "pending", "firing"]
    assert after(rule, [(0, 30.0), (30, 50.0), (60, 30.0), (119, 30.0), (120, 30.0)])[2:] == [
        "pending",
        "pending",
        "firing",
    ]


def test_a_dwell_starts_again_after_an_unknown_score() -> None:
    rule = ScoreRule(direction="below", level=40, for_seconds=60)
    assert after(rule, [(0, 30.0), (30, None), (60, 30.0), (120, 30.0)]) == ["pending", "ok", "pending", "firing"]


def test_during_a_cooldown_a_new_breach_waits() -> None:
    rule = ScoreRule(direction="below", level=40, cooldown_seconds=100)
    scores: list[tuple[int, float | None]] = [(1, 30.0), (2, 50.0), (3, 30.0), (100, 30.0), (101, 30.0)]
    assert after(rule, scores) == ["firing", "ok", "pending", "pending", "firing"]


def test_a_snoozed_rule_waits_and_one_that_fires_clears_all_the_same() -> None:
    snoozed = snooze(OK, 100 * SECOND)
    assert after(AT_RISK, [(1, 30.0), (99, 30.0), (100, 30.0)], snoozed) == ["pending", "pending", "firing"]
    assert after(AT_RISK, [(1, 30.0), (2, 30.0)], snooze(snoozed, 0)) == ["firing", "firing"]
    firing = snooze(RuleMemory("firing", 1, 1), 100 * SECOND)
    assert after(AT_RISK, [(2, 30.0), (3, 50.0), (4, 30.0)], firing) == ["firing", "ok", "pending"]


def test_while_the_source_is_quiet_nothing_begins_to_fire() -> None:
    assert look(AT_RISK, OK, scored(30, held=True), 1).state == "ok"
    pending = look(ScoreRule(direction="below", level=40, for_seconds=60), OK, scored(30), 1)
    assert look(AT_RISK, pending, scored(30, held=True), 100).state == "ok"
    assert look(AT_RISK, RuleMemory("firing"), scored(30, held=True), 1).state == "firing"
    assert look(AT_RISK, RuleMemory("firing"), scored(50, held=True), 1).state == "ok"


def test_a_rule_that_is_no_longer_for_the_account_is_over() -> None:
    assert end(RuleMemory("firing", 1, 1), 5) == RuleMemory("ok", 5, 1)
    assert end(RuleMemory("pending", 1), 5).state == "ok"
    assert end(OK, 5) is OK


def test_a_rule_leaves_out_whom_it_excludes_and_nobody_of_whom_nothing_is_known() -> None:
    rule = ScoreRule(
        direction="below", level=40, stages=["live", "renewal"], exclude_segments=["smb"], exclude_owners=["ann"]
    )
    assert rule.applies(None, "live", None)
    assert rule.applies("enterprise", "renewal", "bob")
    assert not rule.applies("smb", "live", "bob")
    assert not rule.applies("enterprise", "live", "ann")
    assert not rule.applies("enterprise", "onboarding", "bob")
    assert not ScoreRule(direction="below", level=40, exclude_stages=["live"]).applies("smb", "live", None)


@pytest.mark.parametrize("kind", [ScoreRule(direction="below", level=40), BandRule(to=["red"]), SilenceRule(level=2)])
def test_what_is_wanted_and_excluded_is_a_mistake(kind: Condition) -> None:
    rule = replace(kind, stages=["live", "trial"], exclude_stages=["trial"])
    (problem,) = rule.problems()
    assert (problem.field, "'trial'" in problem.message) == ("exclude_stages", True)


@pytest.mark.parametrize(
    ("link", "is_taken"),
    [
        ("https://wiki.example/at-risk?x=1#do", True),
        ("http://wiki.example/", False),
        ("https://", False),
        ("javascript:alert(1)", False),
        ("https://ann:secret@wiki.example/", False),
        ("https://wiki.example/ x", False),
        ("https://wiki.example/\t", False),
        ("https://wiki.example/<b>", False),
    ],
)
def test_a_playbook_is_a_link_over_https(link: str, is_taken: bool) -> None:
    problems = ScoreRule(direction="below", level=40, playbook_url=link).problems()
    assert [problem.field for problem in problems] == ([] if is_taken else ["playbook_url"])


def test_a_band_rule_fires_in_its_bands() -> None:
    rule = BandRule(to=["red", "yellow"])
    verdicts = [rule.verdict(OK, Observation(0, None, band)) for band in ("red", "yellow", "green", "unknown")]
    assert verdicts == ["breach", "breach", "clear", "unknown"]


def test_a_fall_is_measured_from_the_highest_closing_of_the_days_before() -> None:
    memory = closed(FALL, [(1, 60.0), (2, 90.0), (3, 85.0)])
    assert memory.peaks == ((2, 90.0), (3, 85.0))
    assert FALL.verdict(memory, scored(70.1, 4)) == "clear"
    assert FALL.verdict(memory, scored(70.0, 4)) == "breach"
    # Days 3 to 9 are the seven before day 10: the high of day 2 lies too long ago.
    assert FALL.verdict(memory, scored(70.0, 9)) == "breach"
    assert FALL.verdict(memory, scored(70.0, 10)) == "clear"
    assert FALL.verdict(memory, scored(65.0, 10)) == "breach"
    assert FALL.verdict(memory, scored(0.0, 11)) == "clear"
    assert FALL.verdict(memory, scored(None, 4)) == "unknown"


def test_a_fall_of_10_on_paper_is_one() -> None:
    rule = DropRule(points=10, days=7)
    assert 20.4 - 10.4 < 10
    assert rule.verdict(closed(rule, [(1, 20.4)]), scored(10.4, 2)) == "breach"


def test_a_day_does_not_fall_from_its_own_scores() -> None:
    assert FALL.verdict(closed(FALL, [(4, 90.0)]), scored(10.0, 4)) == "clear"


def test_days_without_a_score_are_no_peaks_but_let_old_ones_go() -> None:
    assert closed(FALL, [(1, 90.0), (2, None)]).peaks == ((1, 90.0),)
    assert closed(FALL, [(1, 90.0), (7, None)]).peaks == ((1, 90.0),)
    assert closed(FALL, [(1, 90.0), (8, None)]).peaks == ()


def test_only_rules_on_drops_remember_closings() -> None:
    assert closed(AT_RISK, [(1, 90.0)]) is OK


def test_silence_is_measured_by_its_own_level() -> None:
    rule = SilenceRule(level=2.5)
    silences = (2.4, 2.5, Missing.NO_USAGE, Missing.TOO_FEW_DAYS)
    verdicts = [rule.verdict(OK, Observation(0, 50, "yellow", silence)) for silence in silences]
    assert verdicts == ["clear", "breach", "unknown", "unknown"]


def test_a_rule_is_for_those_who_match_all_of_its_filters() -> None:
    rule = BandRule(to=["red"], segments=["smb"], owners=["ann", "bob"])
    assert rule.applies("smb", None, "bob")
    assert not rule.applies("smb", "live", "eve")
    assert not rule.applies(None, None, "ann")
    assert BandRule(to=["red"]).applies(None, None, None)


def test_it_may_fire_when_the_last_of_dwell_cooldown_and_snooze_is_over() -> None:
    rule = ScoreRule(direction="below", level=40, for_seconds=60, cooldown_seconds=100)
    assert ready_at(rule, RuleMemory("pending", 10 * SECOND)) == 70 * SECOND
    assert ready_at(rule, RuleMemory("pending", 10 * SECOND, 5 * SECOND)) == 105 * SECOND
    assert ready_at(rule, RuleMemory("pending", 10 * SECOND, 5 * SECOND, 200 * SECOND)) == 200 * SECOND


def test_what_matters_later_is_kept() -> None:
    rule = ScoreRule(direction="below", level=40, cooldown_seconds=100)
    assert worth_keeping(rule, RuleMemory("firing", 1, 1), 2)
    assert worth_keeping(rule, RuleMemory("pending", 1), 2)
    assert worth_keeping(rule, RuleMemory("ok", 5, 1 * SECOND), 100 * SECOND)
    assert not worth_keeping(rule, RuleMemory("ok", 5, 1 * SECOND), 101 * SECOND)
    assert worth_keeping(rule, snooze(OK, 100 * SECOND), 99 * SECOND)
    assert not worth_keeping(rule, snooze(OK, 100 * SECOND), 100 * SECOND)
    assert not worth_keeping(rule, OK, 1)
    assert worth_keeping(FALL, OK, 1)


@pytest.mark.parametrize(
    ("direction", "level", "clear_level", "is_fine"),
    [
        ("below", 40, 45, True),
        ("below", 40, 40, True),
        ("below", 40, 39, False),
        ("below", 40, None, True),
        ("above", 80, 75, True),
        ("above", 80, 81, False),
    ],
)
def test_a_clear_level_on_the_wrong_side_is_named(
    direction: Literal["below", "above"], level: float, clear_level: float | None, is_fine: bool
) -> None:
    rule = ScoreRule(direction=direction, level=level, clear_level=clear_level)
    assert [problem.field for problem in rule.problems()] == ([] if is_fine else ["clear_level"])

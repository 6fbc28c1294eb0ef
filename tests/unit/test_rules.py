"""Alert rules, case by case."""

from collections.abc import Sequence

import pytest

from scoring.rules import OK, Memory, ScoreRule, step, worth_keeping

SECOND = 1_000_000
AT_RISK = ScoreRule(direction="below", level=40, clear_level=45)


def after(rule: ScoreRule, scores: Sequence[tuple[int, float | None]]) -> list[str]:
    memory = OK
    states: list[str] = []
    for seconds, score in scores:
        memory = step(rule, memory, rule.verdict(score, "unknown"), seconds * SECOND)
        states.append(memory.state)
    return states


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


def test_during_a_cooldown_a_new_breach_waits() -> None:
    rule = ScoreRule(direction="below", level=40, cooldown_seconds=100)
    scores: list[tuple[int, float | None]] = [(1, 30.0), (2, 50.0), (3, 30.0), (100, 30.0), (101, 30.0)]
    assert after(rule, scores) == ["firing", "ok", "pending", "pending", "firing"]


def test_what_matters_later_is_kept() -> None:
    rule = ScoreRule(direction="below", level=40, cooldown_seconds=100)
    assert worth_keeping(rule, Memory("firing", 1, 1), 2)
    assert worth_keeping(rule, Memory("ok", 5, 1 * SECOND), 100 * SECOND)
    assert not worth_keeping(rule, Memory("ok", 5, 1 * SECOND), 101 * SECOND)
    assert not worth_keeping(rule, OK, 1)


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
    direction: str, level: float, clear_level: float | None, is_fine: bool
) -> None:
    rule = ScoreRule(direction=direction, level=level, clear_level=clear_level)  # type: ignore[arg-type] # parametrized
    assert [problem.field for problem in rule.problems()] == ([] if is_fine else ["clear_level"])

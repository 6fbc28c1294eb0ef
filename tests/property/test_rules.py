"""Laws of the rules' state machine, over any course of scores."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from scoring.rules import OK, BandRule, Memory, ScoreRule, step, worth_keeping
from scoring.scorecards import band_of

SECOND = 1_000_000
scores = st.none() | st.floats(0, 100)
courses = st.lists(st.tuples(st.integers(1, 500), scores), max_size=60)


@st.composite
def score_rules(draw: st.DrawFn) -> ScoreRule:
    low, high = sorted([draw(st.floats(0, 100)), draw(st.floats(0, 100))])
    below = draw(st.booleans())
    return ScoreRule(
        direction="below" if below else "above",
        level=low if below else high,
        clear_level=high if below else low,
        for_seconds=draw(st.sampled_from([0, 0, 60, 600])),
        cooldown_seconds=draw(st.sampled_from([0, 0, 60, 600])),
    )


def play(rule: ScoreRule, course: list[tuple[int, float | None]]) -> list[tuple[int, float | None, Memory, Memory]]:
    """(time, score, memory before, memory after) of each step; what isn't worth keeping is forgotten in between."""
    now, memory, steps = 1_000 * SECOND, OK, []
    for seconds, score in course:
        now += seconds * SECOND
        after = step(rule, memory, rule.verdict(score, "unknown"), now)
        steps.append((now, score, memory, after))
        memory = after if worth_keeping(rule, after, now) else OK
    return steps


def fired(steps: list[tuple[int, float | None, Memory, Memory]]) -> list[int]:
    return [now for now, _, before, after in steps if before.state != "firing" and after.state == "firing"]


def cleared(steps: list[tuple[int, float | None, Memory, Memory]]) -> list[int]:
    return [now for now, _, before, after in steps if before.state == "firing" and after.state != "firing"]


@given(score_rules(), courses)
def test_firings_and_clearings_alternate(rule: ScoreRule, course: list[tuple[int, float | None]]) -> None:
    steps = play(rule, course)
    turns = sorted([(now, "fired") for now in fired(steps)] + [(now, "cleared") for now in cleared(steps)])
    assert [turn for _, turn in turns] == ["fired", "cleared"] * (len(turns) // 2) + ["fired"] * (len(turns) % 2)


@given(score_rules(), courses)
def test_inside_the_hysteresis_nothing_changes_sides(rule: ScoreRule, course: list[tuple[int, float | None]]) -> None:
    for _, score, before, after in play(rule, course):
        if rule.verdict(score, "unknown") in ("between", "unknown"):
            assert (before.state == "firing") == (after.state == "firing")


@given(score_rules(), courses)
def test_a_dwell_never_fires_early(rule: ScoreRule, course: list[tuple[int, float | None]]) -> None:
    """Whenever it fires, every score of the dwell before that was beyond the level."""
    steps = play(rule, course)
    for moment in fired(steps):
        since = moment - rule.for_seconds * SECOND
        within = [score for now, score, _, _ in steps if since <= now <= moment]
        earlier = [score for now, score, _, _ in steps if now < since]
        standing = (
            [earlier[-1]] if earlier and rule.for_seconds and not any(now == since for now, *_ in steps) else []
        ) + within
        assert all(rule.verdict(score, "unknown") == "breach" for score in standing)


@given(score_rules(), courses)
def test_a_cooldown_keeps_firings_apart(rule: ScoreRule, course: list[tuple[int, float | None]]) -> None:
    moments = fired(play(rule, course))
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    assert all(gap >= rule.cooldown_seconds * SECOND for gap in gaps)


@given(score_rules(), courses)
def test_without_dwell_and_cooldown_it_fires_at_once(rule: ScoreRule, course: list[tuple[int, float | None]]) -> None:
    if rule.for_seconds or rule.cooldown_seconds:
        return
    for _, score, _, after in play(rule, course):
        if rule.verdict(score, "unknown") == "breach":
            assert after.state == "firing"


@given(st.floats(0, 100), st.sets(st.sampled_from(["red", "yellow", "green"]), min_size=1))
def test_a_band_rule_breaches_in_its_bands_alone(score: float, to: set[str]) -> None:
    rule = BandRule(to=sorted(to))  # type: ignore[arg-type] # the strategy gives known bands
    band = band_of(score, 40, 70)
    assert rule.verdict(score, band) == ("breach" if band in to else "clear")
    assert rule.verdict(None, "unknown") == "unknown"

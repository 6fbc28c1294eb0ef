"""Random scorecard documents, as people could write them."""

from collections.abc import Sequence
from functools import cache
from itertools import accumulate, product
from typing import Any

from hypothesis import strategies as st

from scoring.scorecards.catalogue import CATALOGUE
from tests.support.strategies import FEATURES

SEGMENTS = ("smb", "enterprise")
STAGES = ("trial", "live")
SCORES = (0, 40, 70, 100, 10, 33, 50, 95)
WEIGHTS = (1, 0.1, 0.2, 0.7, 2.5, 10, 0)

_POINTS = st.lists(st.sampled_from(list(product((0.1, 1, 7, 30, 100), SCORES))), min_size=1, max_size=5)
_MISSING: tuple[Any, ...] = ("exclude", "neutral", "worst", {"score": 0}, {"score": 33.3}, {"score": 100})
_POLICIES = st.sampled_from(list(product(_MISSING, (None, *product(SCORES, SCORES)))))


@cache
@st.composite
def curves(draw: st.DrawFn) -> list[tuple[float, float]]:
    """Points whose values rise; their scores go anywhere."""
    steps = draw(_POINTS)
    value = -draw(st.sampled_from([0, 1, 100]))
    values = accumulate((step for step, _ in steps), initial=value)
    return [(round(value, 1), score) for value, (_, score) in zip(values, steps, strict=False)]


@cache
def _windows(longest: int) -> st.SearchStrategy[int]:
    return st.sampled_from([longest, *range(1, longest + 1)])


@cache
@st.composite
def parameters(draw: st.DrawFn, retention: int, measure: str) -> dict[str, Any]:
    """The parameters that a scorecard may set on a measure."""
    definition = CATALOGUE[measure]
    given: dict[str, Any] = {}
    if definition.windows:
        longest = retention // definition.windows
        given["window"] = draw(_windows(longest))
    if definition.takes_features:
        given |= draw(st.sampled_from([{}, {"features": ["login"]}, {"features": [*FEATURES, "never-used"]}]))
    if definition.takes_priorities:
        given |= draw(st.sampled_from([{}, {"priorities": ["urgent"]}, {"priorities": ["high", "urgent"]}]))
    if definition.least_n:
        given |= draw(st.sampled_from([{}, {}, {"min_n": definition.least_n}, {"min_n": definition.least_n + 1}]))
    return given


@cache
@st.composite
def entries(draw: st.DrawFn, retention: int, name: str) -> dict[str, Any]:
    """A measure with parameters, weight, curve, a policy for missing data and maybe a veto."""
    measure = draw(st.sampled_from(list(CATALOGUE)))
    missing, veto = draw(_POLICIES)
    return {
        "name": name,
        "measure": measure,
        "weight": draw(st.sampled_from(WEIGHTS)),
        "curve": draw(curves()),
        "missing": missing,
        **({"veto": {"below": veto[0], "cap": veto[1]}} if veto else {}),
        **draw(parameters(retention, measure)),
    }


@cache
@st.composite
def calibrations(draw: st.DrawFn) -> dict[str, Any]:
    """A calibration of two to six points."""
    hundredths = st.lists(st.integers(0, 10_000), min_size=2, max_size=6, unique=True).map(sorted)
    scores = [score / 100 for score in draw(hundredths)]
    probability = st.sampled_from([0, 1, 0.5, 1e-9]) | st.floats(0, 1, allow_subnormal=False)
    falling = sorted((draw(probability) for _ in scores), reverse=True)
    decisions = draw(st.integers(1, 3000))
    return {
        "calibrated_on": "2026-11-30",
        "source": draw(st.sampled_from(["social.events.parquet", "logs of 2025, größer: [a]"])),
        "first_day": "2026-02-01",
        "last_day": draw(st.sampled_from(["2026-02-01", "2026-11-30"])),
        "lead_days": draw(st.sampled_from([0, 3])),
        "horizon_days": draw(st.sampled_from([None, 30])),
        "decisions": decisions,
        "churned": draw(st.integers(0, decisions)),
        "probabilities": [list(point) for point in zip(scores, falling, strict=True)],
    }


@cache
@st.composite
def scorecards(draw: st.DrawFn, retention: int) -> dict[str, Any]:
    """A default scorecard of up to five measures."""
    measures = [draw(entries(retention, f"m{index}")) for index in range(draw(st.integers(1, 5)))]
    measures[0]["weight"] = measures[0]["weight"] or 1
    yellow, green = draw(st.sampled_from([(40, 70), (10, 33), (50, 95), (69, 70)]))
    return {
        "name": "default",
        "measures": measures,
        "bands": {"red": 0, "yellow": yellow, "green": green},
        "min_coverage": draw(st.sampled_from([0, 0.1, 0.5, 0.8, 1])),
    }


@cache
@st.composite
def calibrated_scorecards(draw: st.DrawFn, retention: int) -> dict[str, Any]:
    """The same, calibrated or not."""
    return {**draw(scorecards(retention)), "calibration": draw(st.none() | calibrations())}


@st.composite
def audiences(draw: st.DrawFn, names: Sequence[str]) -> list[dict[str, Any]]:
    """A default scorecard among others for some segments, stages and tenures, with ranks that may tie."""
    anything = [{"measure": "open_tickets", "weight": 1, "curve": [[0, 100], [5, 0]]}]
    limits = st.sampled_from([0, 217, 300, 700])
    applies_to = st.fixed_dictionaries(
        {},
        optional={
            "segments": st.lists(st.sampled_from(SEGMENTS), min_size=1),
            "stages": st.lists(st.sampled_from(STAGES), min_size=1),
            "tenure_days": st.tuples(limits, limits).map(sorted),
            "rank": st.integers(0, 2),
        },
    ).filter(lambda drawn: drawn.keys() - {"rank"})
    others = [{"name": name, "measures": anything, "applies_to": draw(applies_to)} for name in names]
    return draw(st.permutations([{"name": "default", "measures": anything}, *others]))

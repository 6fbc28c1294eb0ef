"""Laws of adapting a scorecard to a portfolio, for any document and any values."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from scoring.scorecards.catalogue import CATALOGUE
from scoring.scorecards.curve import compile_curve
from scoring.scorecards.document import MeasureDocument, parse
from scoring.scorecards.measure import Missing, Value
from scoring.whatif.adapt import LEAST_VALUES, AdaptedMeasure, adapt, adapt_measure
from scoring.whatif.quantile_curve import rank_curve
from tests.support.strategies_scorecards import scorecards

RETENTION = 92
NEW = ("adapted", "veto_dropped")

_counts = st.integers(0, 40).map(float)
_amounts = st.floats(-1e15, 1e15, allow_nan=False) | st.floats(0, 2, allow_nan=False)
_close = st.sampled_from([173.4, 174.6, 175.0, 179.25])
_values = st.lists(_counts, max_size=80) | st.lists(_amounts, max_size=80) | st.lists(_close, max_size=80)
_directed = st.sampled_from([name for name, each in CATALOGUE.items() if each.signals - {"attributes"}])
_scores = st.lists(st.integers(0, 100), min_size=2, max_size=6, unique=True)
_at = st.lists(st.integers(0, 60) | st.sampled_from([0.5, 0.8, 1.25, 7.75]), min_size=6, max_size=6, unique=True)


@st.composite
def measures(draw: st.DrawFn) -> MeasureDocument:
    """A measure whose curve goes the catalogue's way, with or without a veto."""
    name = draw(_directed)
    scores = sorted(draw(_scores), reverse=CATALOGUE[name].better == "low")
    curve = list(zip(sorted(draw(_at))[: len(scores)], scores, strict=True))
    veto = draw(st.none() | st.fixed_dictionaries({"below": st.integers(0, 100), "cap": st.just(30)}))
    window = {"window": 7} if CATALOGUE[name].windows else {}
    written = {"measure": name, "weight": 1, "curve": curve, "veto": veto, **window}
    return parse({"name": "default", "measures": [written]}, RETENTION).measures[0]


def scores_of(adapted: AdaptedMeasure) -> list[float]:
    return [score for _, score in adapted.after.curve]


@given(measures(), _values)
def test_a_new_curve_goes_the_catalogues_way(measure: MeasureDocument, values: list[float]) -> None:
    scores = scores_of(adapt_measure(measure, values))
    assert scores == sorted(scores, reverse=CATALOGUE[measure.measure].better == "low")


@given(measures(), _values)
def test_knots_lie_within_what_was_seen_or_beyond_the_veto(measure: MeasureDocument, values: list[float]) -> None:
    adapted = adapt_measure(measure, values)
    if adapted.fate in NEW:
        limit = adapted.after.veto.below if adapted.after.veto else -1
        assert all(min(values) <= value <= max(values) for value, score in adapted.after.curve if score > limit)
    else:
        assert adapted.after == measure


@given(measures(), _values, st.randoms(use_true_random=False))
def test_the_order_of_accounts_does_not_matter_and_a_second_time_changes_nothing(
    measure: MeasureDocument, values: list[float], chance: Any
) -> None:
    once = adapt_measure(measure, values)
    shuffled = list(values)
    chance.shuffle(shuffled)
    assert adapt_measure(measure, shuffled) == once
    assert adapt_measure(once.after, values).after == once.after


@given(measures(), _values, st.floats(-100, 200, allow_nan=False))
def test_a_veto_that_stays_applies_to_the_same_values(
    measure: MeasureDocument, values: list[float], value: float
) -> None:
    adapted = adapt_measure(measure, values)
    assume(measure.veto is not None and adapted.after.veto is not None)
    assert measure.veto is not None
    assert adapted.after.veto == measure.veto
    before, after = (compile_curve(each.curve)(value) - measure.veto.below for each in (measure, adapted.after))
    assume(abs(before) > 1e-6)  # closer than curves are exact
    assert (before < 0) == (after < 1e-9 and after < 0)


@given(_values)
def test_trends_say_nothing_above_1(values: list[float]) -> None:
    written = {"measure": "usage_trend", "window": 28, "weight": 1, "curve": [[0, 0], [1, 100]]}
    trend = parse({"name": "default", "measures": [written]}, RETENTION).measures[0]
    curve = compile_curve(adapt_measure(trend, values).after.curve)
    assert curve(1.0) == curve(1.5) == curve(1000.0)


_readings: st.SearchStrategy[Value] = st.sampled_from(list(Missing)) | _counts | _amounts


@given(scorecards(RETENTION), st.data())
def test_a_draft_can_always_be_published(document: dict[str, Any], data: st.DataObject) -> None:
    parsed = parse(document, RETENTION)
    rows = st.lists(_readings, min_size=len(parsed.measures), max_size=len(parsed.measures))
    accounts: Sequence[list[Value]] = data.draw(st.lists(rows, max_size=60))
    adapted = adapt(parsed, accounts)
    again = parse(msgspec.to_builtins(adapted.document), RETENTION)
    assert again == adapted.document
    assert adapt(again, accounts).document == again
    assert again.calibration is None
    kept = [(each.title, each.weight, each.window, each.missing, each.min_n) for each in parsed.measures]
    assert [(each.title, each.weight, each.window, each.missing, each.min_n) for each in again.measures] == kept
    assert (again.bands, again.min_coverage, again.applies_to) == (parsed.bands, parsed.min_coverage, parsed.applies_to)


@given(st.lists(_counts | _amounts, min_size=1, max_size=80), st.booleans())
def test_ranks_between_the_outermost_knots_average_to_half(values: list[float], rising: bool) -> None:
    points = rank_curve(sorted(values), rising=rising)
    assert all(earlier[0] < later[0] for earlier, later in pairwise(points))
    assert all(0 <= score <= 100 and score == round(score) for _, score in points)


@pytest.mark.parametrize("count", [0, 1, LEAST_VALUES - 1])
def test_too_few_values_change_nothing(count: int) -> None:
    written = {"measure": "active_days", "window": 28, "weight": 1, "curve": [[0, 0], [20, 100]]}
    measure = parse({"name": "default", "measures": [written]}, RETENTION).measures[0]
    adapted = adapt_measure(measure, [float(number) for number in range(count)])
    assert (adapted.fate, adapted.after) == ("too_few", measure)

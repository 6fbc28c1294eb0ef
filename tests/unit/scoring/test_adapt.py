"""Scorecards that are adapted to a portfolio, on values that everybody can check, and the report of it."""

from collections.abc import Sequence
from typing import Any

import pytest
import yaml

from scoring.scorecards.document import Bands, MeasureDocument, parse
from scoring.scorecards.measure import Missing, Value
from scoring.scorecards.scorecard import compile_scorecard
from scoring.state.account_state import RETENTION_DAYS
from scoring.whatif.adapt import adapt, adapt_measure
from scoring.whatif.adapt_report import AdaptReport, adapt_and_report, bands_like
from scoring.whatif.quantile_curve import rank, rank_curve
from service.evaluation.policy import starter


def measure(text: str) -> MeasureDocument:
    measures = [yaml.safe_load(text), {"measure": "open_tickets", "weight": 1, "curve": [[0, 50], [5, 0]]}]
    return parse({"name": "default", "measures": measures}, RETENTION_DAYS).measures[0]


def reported(accounts: Sequence[Sequence[Value]], *texts: str, **more: Any) -> AdaptReport:
    document = parse({"name": "default", "measures": [yaml.safe_load(text) for text in texts], **more}, RETENTION_DAYS)
    return adapt_and_report(compile_scorecard(document, 1), accounts)[1]


DAYS = "{measure: active_days, window: 30, weight: 1, curve: [[0, 0], [12, 80], [20, 100]]}"
TREND = "{measure: usage_trend, window: 28, weight: 1, curve: [[0, 0], [1, 100]]}"
SILENCE = "{measure: days_since_last_use, weight: 1, curve: [[1, 100], [14, 40], [30, 0]], veto: {below: 25, cap: 35}}"
HUNDRED = [float(number) for number in range(1, 101)]


def test_even_values_make_even_steps() -> None:
    assert rank_curve(HUNDRED, rising=True) == [
        (6.0, 1.0), (21.0, 17.0), (36.0, 34.0), (51.0, 51.0), (66.0, 67.0), (81.0, 84.0), (96.0, 100.0)
    ]  # fmt: skip
    assert rank_curve(HUNDRED, rising=False)[0] == (6.0, 99.0)
    assert rank(HUNDRED, 50) == 0.495


def test_volumes_have_few_digits() -> None:
    curve = rank_curve(sorted(number**3 * 17.3 for number in HUNDRED), rising=True)
    assert [value for value, _ in curve] == [3700, 160000, 810000, 2300000, 5000000, 9200000, 15000000]


def test_a_knot_has_more_digits_where_fewer_would_leave_the_range() -> None:
    assert rank_curve([173.4] * 30 + [174.6] * 30, rising=True) == [(173.4, 22.0), (174.6, 78.0)]


def test_of_accounts_that_all_do_their_best_none_has_full_points() -> None:
    """Half have use on all days: how much they use it tells nothing about that half, so it is in its middle."""
    values = [30.0] * 50 + [float(number % 30) for number in range(50)]
    curve = rank_curve(sorted(values), rising=True)
    assert curve[-1] == (30.0, 78.0)


def test_the_direction_is_the_catalogues() -> None:
    rising = adapt_measure(measure(DAYS), HUNDRED)
    falling = adapt_measure(measure(SILENCE), [each / 10 for each in HUNDRED])
    assert [score for _, score in rising.after.curve] == sorted(score for _, score in rising.after.curve)
    assert falling.after.curve[0] == (0.6, 100.0)


def test_of_a_feature_that_is_bad_the_scorecards_own_direction_counts() -> None:
    bad = "{measure: usage_volume, window: 28, features: [cancel_page], weight: 1, curve: [[0, 100], [9, 0]]}"
    adapted = adapt_measure(measure(bad), HUNDRED)
    assert (adapted.fate, adapted.after.curve[0], adapted.after.curve[-1]) == ("adapted", (6.0, 99.0), (96.0, 0.0))


@pytest.mark.parametrize(
    ("text", "fate"),
    [
        ("{measure: active_days, window: 28, weight: 1, curve: [[0, 100], [9, 0]]}", "contrary"),
        ("{measure: active_days, window: 28, weight: 1, curve: [[0, 0], [9, 100], [12, 50]]}", "contrary"),
        ("{measure: active_days, window: 28, weight: 1, curve: [[0, 40]]}", "contrary"),
        ("{measure: usage_trend, window: 28, features: [x], weight: 1, curve: [[0, 100], [1, 0]]}", "contrary"),
        ("{measure: days_to_renewal, weight: 1, curve: [[0, 0], [90, 100]]}", "date"),
        ("{measure: tenure_days, weight: 1, curve: [[0, 0], [90, 100]]}", "date"),
        ("{measure: silence_ratio, weight: 0, curve: [[1, 50], [9, 0]], veto: {below: 10, cap: 60}}", "veto_only"),
        ("{measure: silence_ratio, weight: 1, curve: [[1, 50], [9, 10]], veto: {below: 10, cap: 60}}", "veto_unclear"),
        ("{measure: silence_ratio, weight: 1, curve: [[1, 9], [9, 0]], veto: {below: 10, cap: 60}}", "veto_dropped"),
    ],
)
def test_a_curve_stays_where_it_means_something_whatever_the_accounts(text: str, fate: str) -> None:
    found = adapt_measure(measure(text), HUNDRED)
    assert found.fate == fate
    assert (found.after == found.before) == (fate != "veto_dropped")


def test_equal_values_tell_nothing() -> None:
    found = adapt_measure(measure(DAYS), [7.0] * 99 + [9.0])
    assert (found.fate, found.after) == ("all_equal", measure(DAYS))


def test_a_trend_is_flat_from_1_on_and_growth_moves_nothing() -> None:
    values = [number / 100 for number in range(40, 100)] + [1.0] * 20
    steady = adapt_measure(measure(TREND), [*values, *[1.0] * 40])
    assert adapt_measure(measure(TREND), [*values, *[7.5] * 40]) == steady
    assert steady.after.curve[-1][0] == 1


def test_a_veto_begins_where_it_did_however_seldom_that_is_reached() -> None:
    """20 days by the old curve; nobody is silent for longer than 10."""
    found = adapt_measure(measure(SILENCE), [each / 10 for each in HUNDRED])
    assert found.fate == "adapted"
    assert found.after.veto == measure(SILENCE).veto
    assert found.after.curve[-3:] == [(9.6, 25.0), (20.0, 25.0), (30.0, 0.0)]
    assert found.after.curve[0] == (0.6, 100.0)


def test_a_veto_that_caps_a_third_of_all_is_left_out_and_said() -> None:
    found = adapt_measure(measure(SILENCE), HUNDRED)
    assert (found.fate, found.vetoed, found.after.veto) == ("veto_dropped", 80, None)
    assert found.after.curve[-1] == (96.0, 0.0)
    [said] = reported([[value] for value in HUNDRED], SILENCE).measures
    assert "caps 80% of the accounts" in said.remark


def test_the_report_shows_what_saturates_before_and_after() -> None:
    accounts: list[list[Value]] = [[20.0 + number / 10, 1.0] for number in range(90)]
    accounts += [[Missing.NO_USAGE, Missing.TOO_YOUNG] for _ in range(10)]
    report = reported(accounts, DAYS, TREND)
    days, trend = report.measures
    assert (days.before.full, days.before.missing, days.remark) == (0.9, 0.1, "")
    assert days.after.full < 0.1
    assert "Nearly all accounts have the same value" in trend.remark
    assert sum(report.bands_before.values()) == sum(report.bands_after.values()) == report.accounts == 100
    assert report.bands_before["green"] == 90 > report.bands_after["green"]


def test_too_few_and_none_are_told_apart() -> None:
    accounts: list[list[Value]] = [[1.0, Missing.TOO_YOUNG]] * 19
    few, none = reported(accounts, DAYS, TREND).measures
    assert few.remark == "Only 19 accounts have a value, and 20 are needed: the curve stays."
    assert none.remark.startswith("No account has a value, and 20 are needed")
    assert reported([], DAYS).measures[0].before.full == 0


def test_vetoes_that_stay_and_cap_many_and_measures_that_move_nothing_are_said() -> None:
    veto = "{measure: silence_ratio, weight: 0, curve: [[1, 50], [9, 0]], veto: {below: 10, cap: 60}}"
    idle = "{measure: open_tickets, weight: 0, curve: [[0, 50], [9, 0]]}"
    accounts: list[list[Value]] = [[1.0, 20.0 if number < 60 else 0.0, 0.0] for number in range(100)]
    _, capping, nothing = reported(accounts, DAYS, veto, idle).measures
    assert capping.remark.endswith("the curve stays. Its veto caps 60% of the accounts that have a value: check it.")
    assert nothing.remark.startswith("It has neither weight nor veto")


@pytest.mark.parametrize(
    ("before", "after", "limits"),
    [
        ([10.0, 50.0, 80.0, 90.0], [20.5, 30.5, 40.5, 50.5], (30, 40)),
        ([80.0, 90.0], [20.5, 30.5], (20, 21)),
        ([10.0, 20.0], [20.5, 30.5], (31, 32)),
        ([10.0, 20.0], [100.0, 100.0], (99, 100)),
        ([80.0, 90.0], [0.0, 0.0], (1, 2)),
        ([], [], (40, 70)),
    ],
)
def test_bands_that_leave_as_many_accounts_in_each(
    before: list[float], after: list[float], limits: tuple[float, float]
) -> None:
    found = bands_like(Bands(), before, after)
    assert (found.red, found.yellow, found.green) == (0, *limits)


def test_the_starters_stay_in_their_spirit() -> None:
    """On a portfolio with a value of everything, the document keeps all but its curves."""
    document = parse(starter("default"), RETENTION_DAYS)
    accounts = [[value * (index + 1) / 40 for index in range(len(document.measures))] for value in HUNDRED]
    adapted = adapt(document, accounts).document
    assert [each.title for each in adapted.measures] == [each.title for each in document.measures]
    assert [each.weight for each in adapted.measures] == [each.weight for each in document.measures]

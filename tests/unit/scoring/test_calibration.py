"""Calibration: planted effects are found, what knows the outcome is refused, and too little evidence proves nothing."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import msgspec
import numpy as np
import pytest

from scoring.backtest.calibration.calibrate import Calibration, Others, calibrate
from scoring.backtest.calibration.candidates import (
    KNOW_THE_OUTCOME,
    Candidate,
    CandidatesError,
    candidates,
    distinct,
    read,
    usable,
)
from scoring.backtest.calibration.card import document_of, scale_of
from scoring.backtest.calibration.curves import Part, Shape, knots_of
from scoring.backtest.calibration.evidence import tenure_strata
from scoring.backtest.calibration.fit import Fit, fit
from scoring.backtest.calibration.honesty import Limits, judge
from scoring.backtest.calibration.probability import logistic_map
from scoring.backtest.calibration.readings import Matrix, Readings, read_account, readings
from scoring.backtest.discrimination import Interval, auc
from scoring.backtest.outcomes import Decision, Outcome
from scoring.scorecards.catalogue import CATALOGUE
from scoring.scorecards.document import Bands, ScorecardDocument, parse
from scoring.scorecards.lint import warnings
from scoring.state.account_state import AccountState, fold
from scoring.state.calendar import start_of
from scoring.state.events import AttributesEvent, AttributeValue, UsageEvent
from tests.support.calibrating import BAD_FEATURE, GOOD_FEATURE, HARMS, HELPS, as_readings, portfolio

PLAIN = "a plain count of events"
COUNTS = {"login": 900, "report": 500, "export": 20, "admin": 500}
BETTER = Interval(0.1, 0.04, 0.16)


def compared(known: Readings, plain: Matrix | None = None) -> Others:
    count = np.random.default_rng(1).random(len(known.churned)) if plain is None else plain.astype(np.float64)
    return Others({PLAIN: count}, (known.days - known.days.min()).astype(np.int64))


def by_name(document: ScorecardDocument | None) -> dict[str, tuple[float, bool]]:
    """Weight, and whether the curve rises, by measure."""
    assert document is not None
    return {each.title: (each.weight, each.curve[0][1] < each.curve[-1][1]) for each in document.measures}


@cache
def found() -> Calibration:
    known = portfolio(700, seed=3)
    return calibrate(known, compared(known))


def test_planted_effects_are_found_with_their_directions() -> None:
    result = found()
    measures = by_name(result.document)
    largest = sorted(measures, key=lambda name: -measures[name][0])[:3]
    assert set(largest) == {HELPS.name, HARMS.name, BAD_FEATURE.name}
    assert measures[HELPS.name][1]
    assert not measures[HARMS.name][1]
    assert not measures[BAD_FEATURE.name][1]  # the catalogue says that more is better; the outcomes say it isn't
    assert sum(weight for weight, _ in measures.values()) == pytest.approx(100, abs=0.1)
    assert result.out_of_fold is not None
    assert result.out_of_fold.auc.low > 0.75
    assert result.verdict.recommended


def test_a_good_feature_rises() -> None:
    known = portfolio(300, (0.0, 0.0, 0.0, 2.5), seed=4)
    measures = by_name(calibrate(known, compared(known)).document)
    assert max(measures, key=lambda name: measures[name][0]) == GOOD_FEATURE.name
    assert measures[GOOD_FEATURE.name][1]


def test_a_catalogued_measure_never_turns_round() -> None:
    """Where more active days go with leaving, by chance or by a quirk of the data, the measure is left out."""
    known = portfolio(300, (-2.5, 0.0, 0.0, 0.0), seed=5)
    assert HELPS.name not in by_name(calibrate(known, compared(known)).document or ScorecardDocument("default", []))


def test_missing_values_that_foretell_are_worst() -> None:
    known = portfolio(300, (1.5, 0.0, 0.0, 0.0), seed=6)
    values = known.values.copy()
    column = known.candidates.index(HELPS)
    values[known.churned, column] = np.nan
    values[:40, column] = np.nan
    document = calibrate(known._replace(values=values), compared(known)).document
    assert document is not None
    assert {each.title: each.missing for each in document.measures}[HELPS.name] == "worst"
    assert all(each.missing in ("neutral", "worst") and each.veto is None for each in document.measures)
    assert document.min_coverage == 0


def test_the_same_readings_give_the_same_result() -> None:
    known = portfolio(60, seed=3, churning=12)
    one, other = (msgspec.json.encode(calibrate(known, compared(known))) for _ in range(2))
    assert one == other


def test_the_document_is_one_that_people_can_publish() -> None:
    document = found().document
    assert document is not None
    assert parse(msgspec.to_builtins(document), 92) == document
    assert list(warnings(document)) == []


def test_bands_and_probabilities_follow_the_base_rate() -> None:
    result = found()
    assert result.probabilities is not None
    assert result.document is not None
    mapping, base = result.probabilities.mapping, result.probabilities.base_rate
    assert base == pytest.approx(0.05)
    bands = result.document.bands
    assert mapping.probability([bands.yellow, bands.green]) == pytest.approx([2 * base, base / 2], rel=0.02)
    shown = [probability for _, probability in result.probabilities.by_score]
    assert shown == sorted(shown, reverse=True)
    assert sum(group.decisions for group in result.probabilities.groups) == 1400
    assert sum(group.expected * group.decisions for group in result.probabilities.groups) == pytest.approx(70, abs=3)


def test_directions_are_the_catalogues_but_for_volumes_of_features() -> None:
    both = {each.measure for each in candidates(COUNTS, 92) if len(each.directions) == 2}
    assert both == {"usage_volume"}
    assert Candidate("usage_volume", 28).directions == (True,)
    assert Candidate("usage_trend", 28, "login").directions == (True,)
    assert Candidate("days_since_last_use").directions == (False,)


def test_nothing_that_is_shown_is_in_sample() -> None:
    """Where effects are weak, a fit looks far better on its own outcomes than on others, and surer of them."""
    known = portfolio(150, (0.6, 0.6, 0.0, 0.0), churning=40, seed=1)
    result, own = calibrate(known, compared(known)), fit(known)
    scores = scale_of(own).score(own.log_odds(known.values))
    assert result.out_of_fold is not None
    assert result.probabilities is not None
    assert result.out_of_fold.auc.estimate < auc(scores, known.churned) - 0.1
    assert result.by_time is not None
    assert result.cut is not None
    later = known.days >= result.cut
    assert result.by_time.auc.estimate < auc(scores[later], known.churned[later]) - 0.05
    assert result.probabilities.mapping.slope > logistic_map(scores, known.churned).slope / 2


def test_scores_that_rank_the_wrong_way_are_no_probabilities(monkeypatch: pytest.MonkeyPatch) -> None:
    known = portfolio(100, churning=40, seed=3)
    monkeypatch.setattr(
        "scoring.backtest.calibration.calibrate.out_of_fold", lambda known, learn, seed: known.churned.astype(float)
    )
    result = calibrate(known, compared(known))
    assert result.limits.probabilities
    assert result.probabilities is None
    assert result.document is not None
    assert result.document.bands == Bands()
    assert not result.verdict.recommended


def test_the_headline_is_of_later_decisions_alone() -> None:
    known = portfolio(150, seed=3, churning=30)
    cut = int(np.quantile(known.days[known.churned], 0.6))
    result = calibrate(known, compared(known), cut=cut)
    assert result.cut == cut
    assert result.by_time is not None
    assert result.by_time.decisions == int((known.days >= cut).sum())
    assert result.by_time.churned == int(known.churned[known.days >= cut].sum())
    too_early = calibrate(known, compared(known), cut=int(known.days.min()))
    assert too_early.by_time is None
    assert too_early.out_of_fold is not None
    assert not too_early.verdict.recommended


@pytest.mark.parametrize(
    ("churned", "fits", "provisional", "probabilities"),
    [(9, False, True, False), (10, True, True, False), (19, True, True, False), (20, True, False, False),
     (39, True, False, False), (40, True, False, True)],
)  # fmt: skip
def test_few_who_left_allow_little(churned: int, fits: bool, provisional: bool, probabilities: bool) -> None:
    known = portfolio(250, (3.0, 3.0, 3.0, 0.0), churning=churned, seed=7)
    assert known.churned_accounts == churned
    result = calibrate(known, compared(known))
    assert (result.document is not None) == fits
    assert result.limits.provisional == provisional
    assert (result.probabilities is not None) == probabilities
    if result.document is not None:
        assert any(each.features for each in result.document.measures) != provisional
        assert (result.document.bands != Bands()) == probabilities
    if provisional:
        assert not result.verdict.recommended
        assert str(churned) in result.verdict.sentence


def test_one_account_that_left_many_times_is_one_piece_of_evidence() -> None:
    known = portfolio(100, churning=9, each=4, seed=1)
    accounts = known.accounts[known.churned]
    more = known._replace(churned=np.isin(known.accounts, accounts))
    assert more.churned.sum() == 36
    assert calibrate(more, compared(more)).document is None


def test_no_account_that_stayed_allows_no_fit() -> None:
    known = portfolio(100, churning=60, each=1, seed=1)
    gone = known.rows(known.churned)
    result = calibrate(gone, compared(gone))
    assert result.document is None
    assert "No account has stayed" in result.verdict.sentence


def test_noise_is_never_recommended() -> None:
    for seed in range(2):
        known = portfolio(200, (0.0, 0.0, 0.0, 0.0), seed=seed)
        result = calibrate(known, compared(known))
        assert not result.verdict.recommended
        assert "publish" in result.verdict.sentence


def test_a_card_that_is_no_better_than_the_plain_count_is_not_recommended() -> None:
    known = portfolio(300, (2.0, 0.0, 0.0, 0.0), seed=8)
    result = calibrate(known, compared(known, known.values[:, known.candidates.index(HELPS)]))
    assert not result.verdict.recommended
    assert PLAIN in result.verdict.sentence


@pytest.mark.parametrize(
    ("limits", "differences", "later", "said"),
    [
        (Limits(0, 60), {}, None, "No account has left"),
        (Limits(1, 60), {}, None, "Only one account has left"),
        (Limits(60, 9), {}, None, "Only 9 accounts have stayed"),
        (Limits(60, 60), {PLAIN: Interval(0.05, -0.01, 0.11)}, {PLAIN: BETTER}, "from -0.01 to +0.11"),
        (Limits(60, 60), {PLAIN: Interval(0.05, 0.0, 0.11)}, {PLAIN: BETTER}, "isn't shown"),
        (Limits(60, 60), {PLAIN: Interval(-0.05, -0.11, -0.01)}, {}, "worse than a plain count of events does"),
        (Limits(60, 60), {PLAIN: Interval(math.nan, math.nan, math.nan)}, {}, "too few outcomes"),
        (Limits(60, 60), {PLAIN: BETTER}, {PLAIN: Interval(-0.2, -0.3, -0.1)}, "may be over"),
        (Limits(60, 60), {PLAIN: BETTER}, {PLAIN: Interval(0.05, -0.1, 0.2)}, "earlier outcomes alone and tried on"),
        (Limits(60, 60), {PLAIN: BETTER}, None, "try it on the later ones"),
        (Limits(15, 60), {PLAIN: BETTER}, {PLAIN: BETTER}, "Provisional"),
        (Limits(60, 60), {}, {}, "compared with nothing"),
    ],
)
def test_it_isnt_recommended(
    limits: Limits, differences: dict[str, Interval], later: dict[str, Interval] | None, said: str
) -> None:
    verdict = judge(limits, differences, later)
    assert not verdict.recommended
    assert said in verdict.sentence


def test_it_is_recommended_when_it_is_better_than_everything() -> None:
    later = {PLAIN: Interval(0.2, 0.1, 0.3)}
    verdict = judge(Limits(60, 60), {"the scorecard in force": Interval(0.3, 0.2, 0.4), PLAIN: BETTER}, later)
    assert verdict.recommended
    assert "than the scorecard in force and a plain count of events, by at least 0.10" in verdict.sentence


def test_no_candidate_knows_the_outcome() -> None:
    tried = candidates(COUNTS, 92)
    assert {each.measure for each in tried} == set(CATALOGUE) - {"days_to_renewal"}
    assert not any(CATALOGUE[each.measure].attributes & KNOW_THE_OUTCOME for each in tried)
    with pytest.raises(CandidatesError, match=r"days_to_renewal reads renews_on.*knows the outcome"):
        read_account([], [Candidate("days_to_renewal")], [18_000], 92)
    with pytest.raises(CandidatesError, match="knows the outcome"):
        readings([Candidate("days_to_renewal")], [Decision("a", 1, Outcome("a", 2, True))], [[1.0]])
    with pytest.raises(CandidatesError, match="'luck' is not a measure"):
        read_account([], [Candidate("luck")], [18_000], 92)


@pytest.mark.parametrize("attribute", ["churned_on", "stage", "renews_on"])
def test_a_measure_of_what_is_written_because_an_account_leaves_is_no_candidate(
    attribute: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    knowing = replace(CATALOGUE["tenure_days"], attributes=frozenset({"started_on", attribute}))
    monkeypatch.setitem(CATALOGUE, "knowing", knowing)
    assert "knowing" not in {each.measure for each in candidates(COUNTS, 92)}
    with pytest.raises(CandidatesError, match=f"knowing reads {attribute}, which is written because"):
        usable([Candidate("knowing")])


def test_measures_declare_the_attributes_that_they_read() -> None:
    """Or else one that knows the outcome could be fitted: each attribute that changes a reading is declared."""
    day = 18_300
    given: dict[str, AttributeValue] = {
        "seats": 10,
        "started_on": "2019-01-01",
        "renews_on": "2020-03-01",
        "churned_on": "2020-02-01",
        "stage": "renewal",
        "segment": "smb",
        "owner": "ann",
        "arr": "100",
    }
    for measure, definition in CATALOGUE.items():
        reader = Candidate(measure, 14 if definition.windows else None).reader()
        for name, value in given.items():
            state = portfolio_state(day)
            before = read([reader], state, day)
            event = AttributesEvent("a", start_of(day), day, "1", {name: value})
            after = read([reader], portfolio_state(day, event), day)
            if not np.array_equal(before, after, equal_nan=True):
                assert name in definition.attributes, f"{measure} reads {name}"


def portfolio_state(day: int, *more: AttributesEvent) -> AccountState:
    """A state with usage on most days."""
    state = AccountState()
    usage = [UsageEvent("a", start_of(each), each, each, "login", 1, 1, str(each)) for each in range(day - 60, day - 3)]
    fold(state, [*usage, *more], 92)
    return state


def test_candidates_are_the_catalogue_by_windows_and_the_most_frequent_features() -> None:
    tried = candidates(COUNTS, 92, windows=(7, 60), most_features=3)
    volumes = [each for each in tried if each.measure == "usage_volume"]
    assert [(each.window, each.feature) for each in volumes] == [
        (window, feature) for window in (7, 60) for feature in (None, "login", "admin", "report")
    ]
    assert {each.window for each in tried if each.measure == "usage_trend"} == {7}  # two of 60 days are not kept
    assert {each.priorities for each in tried if each.measure == "open_tickets"} == {None, ("high", "urgent")}
    assert all(each.feature is None for each in candidates(COUNTS, 92, most_features=0))


def test_measures_can_be_left_out() -> None:
    assert "tenure_days" not in {each.measure for each in candidates(COUNTS, 92, without=["tenure_days"])}
    with pytest.raises(CandidatesError, match="'tenure' is not a measure"):
        candidates(COUNTS, 92, without=["tenure"])
    with pytest.raises(CandidatesError, match="No measure is left"):
        candidates(COUNTS, 92, without=list(CATALOGUE))


ODD = {"Äpfel & Birnen, täglich " + "x" * 90: 3, "9": 2, "n" * 201: 9, "\x00": 9, "": 9}


@pytest.mark.parametrize("candidate", candidates(ODD, 92))
def test_every_candidate_makes_a_valid_entry(candidate: Candidate) -> None:
    part = Part(Shape(0, True, (0.0, 2.0), False), np.array([1.0]))
    twice = [part, part._replace(shape=Shape(1, False, (1.0, 3.0), True))]
    document = document_of(Fit(0.5, twice, 0.1), [candidate, candidate])
    assert parse(msgspec.to_builtins(document), 92) == document
    assert [each.weight for each in document.measures] == [50, 50]


def test_equal_and_constant_columns_are_dropped() -> None:
    nan = math.nan
    values = np.array([[1, 1, 5, nan, 1.0, -0.0], [2, 2, 5, nan, nan, 0.0], [3, 3, 5, nan, 3.0, 1.0]])
    assert distinct(values) == [0, 4, 5]
    assert distinct(values[:, [4, 4]]) == [0]


def test_knots_are_bounded_by_the_bulk_of_the_values_and_short() -> None:
    values = np.array([*np.linspace(1, 2, 1000), 1e9, np.nan])
    knots = knots_of(values)
    assert knots is not None
    assert knots == (1.02, 1.26, 1.5, 1.74, 1.98)
    assert knots_of(np.full(100, 3.0)) is None
    assert knots_of(np.array([1.0] * 10 + [2.0] * 9 + [np.nan] * 100)) is None


def test_the_strata_of_tenure_show_a_score_that_only_knows_the_age() -> None:
    chance = np.random.default_rng(0)
    tenures = chance.integers(0, 900, 3000)
    left = chance.random(3000) < np.where(tenures < 300, 0.4, 0.02)
    known = as_readings(tenures[:, None].astype(float), left)
    scores = np.where(tenures >= 300, 50.0, 0.0)
    assert auc(scores, left) > 0.8
    strata = tenure_strata(scores, tenures, known)
    assert len(strata) == 3
    assert sum(each.decisions for each in strata) == 3000
    assert all(one.longest < other.shortest for one, other in itertools.pairwise(strata))
    assert all(abs(each.auc.estimate - 0.5) < 0.1 for each in strata)


@pytest.mark.parametrize(
    ("tenures", "strata"),
    [
        (range(9), [(0, 2, 3), (3, 5, 3), (6, 8, 3)]),
        ([1] * 5 + [2, 3, 4, 5], [(1, 2, 6), (3, 5, 3)]),
        ([7] * 9, [(7, 7, 9)]),
    ],
)
def test_strata_are_thirds_of_the_decisions_and_equal_tenures_stay_together(
    tenures: Sequence[int], strata: list[tuple[int, int, int]]
) -> None:
    days = np.array(tenures, np.int64)
    known = as_readings(days[:, None].astype(float), days % 2 == 0)
    found = tenure_strata(np.zeros(9), days, known)
    assert [(each.shortest, each.longest, each.decisions) for each in found] == strata


def test_nothing_found_is_said() -> None:
    known = portfolio(60, churning=12)
    result = calibrate(known._replace(values=np.full_like(known.values, 1.0)), compared(known))
    assert result.document is None
    assert "nothing to publish" in result.verdict.sentence
    assert fit(known._replace(values=np.full_like(known.values, 1.0))).parts == []

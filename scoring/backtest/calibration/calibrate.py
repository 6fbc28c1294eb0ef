"""Calibration as a whole: what may be fitted, the fit, its proof on decisions it wasn't fitted to, and the verdict."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from msgspec import Struct, field
from numpy.typing import NDArray

from scoring.backtest.calibration.card import POINTS, NothingFoundError, document_of, scale_of
from scoring.backtest.calibration.evidence import Evidence, Stratum, evidence, tenure_strata
from scoring.backtest.calibration.fit import AT_MOST, Advance, fit, no_advance
from scoring.backtest.calibration.fit import STEPS as STEPS_OF_FIT
from scoring.backtest.calibration.folds import OUTER_FOLDS, Learner, Scorer, by_time, out_of_fold, usual_cut
from scoring.backtest.calibration.honesty import Limits, Verdict, judge
from scoring.backtest.calibration.probability import (
    CalibrationGroup,
    Logistic,
    bands_of,
    calibration_table,
    logistic_map,
)
from scoring.backtest.calibration.readings import Readings
from scoring.backtest.calibration.solver import Array
from scoring.scorecards.document import DEFAULT, AppliesTo, Bands, ScorecardDocument

TABLE_SCORES = tuple(range(0, 101, 5))
STEPS = STEPS_OF_FIT * (1 + OUTER_FOLDS + 1)
"""The number of steps of which `calibrate` tells: those of the fit, and of the fits of both proofs."""


class Others(NamedTuple):
    """Facts about the decisions besides the readings, in the readings' order.

    `scores` are those of what the new scorecard is compared with, low for those that should churn, by names that fit
    into a sentence: "the scorecard in force", "a plain count of events". `tenures` are in days.
    """

    scores: Mapping[str, Array]
    tenures: NDArray[np.int64]


class Probabilities(Struct, frozen=True):
    """The churn that scores stand for. `by_score` has the probability at each fifth point from 0 to 100."""

    base_rate: float
    mapping: Logistic
    by_score: list[tuple[int, float]]
    groups: list[CalibrationGroup]


class Calibration(Struct, frozen=True):
    """A draft and its proof. `document` is None where nothing may be fitted, or nothing was found.

    The headline is `by_time`: a fit to the outcomes before the day `cut`, judged by the decisions from then on; None if
    there are too few on either side. `probabilities` is None under the limit, and if scores don't rank.
    """

    limits: Limits
    verdict: Verdict
    document: ScorecardDocument | None = None
    cut: int | None = None
    by_time: Evidence | None = None
    out_of_fold: Evidence | None = None
    strata: list[Stratum] = field(default_factory=list)
    probabilities: Probabilities | None = None


def calibrate(
    known: Readings,
    others: Others,
    *,
    name: str = DEFAULT,
    applies_to: AppliesTo | None = None,
    at_most: int = AT_MOST,
    cut: int | None = None,
    seed: int = 0,
    advance: Advance = no_advance,
) -> Calibration:
    """Fit a scorecard of at most so many measures to `known`, and prove it. The same readings give the same result.

    `cut` is the day of the split by time, by default one that leaves a third of the churn after it. `advance` is told
    of steps that are done, of `STEPS` in all.
    """
    limits = Limits(known.churned_accounts, known.stayed_accounts)
    if not limits.fits:
        return Calibration(limits, judge(limits, {}, None))
    if limits.provisional:
        known = known.columns([place for place, each in enumerate(known.candidates) if each.feature is None])
    final = fit(known, at_most=at_most, seed=seed, advance=advance)
    try:
        scale = scale_of(final)
    except NothingFoundError as error:
        return Calibration(limits, Verdict(False, f"{error}, so there is nothing to publish"))

    learn = _learner(at_most, seed, advance)
    scores = scale.score(out_of_fold(known, learn, seed=seed))
    apart = evidence(scores, others.scores, known)
    cut = usual_cut(known) if cut is None else cut
    later = _later(known, others, learn, cut)
    within = scores.clip(0.0, POINTS)  # a fold's log-odds may be beyond those that the card itself can reach
    mapping = logistic_map(within, known.churned)
    shown = limits.probabilities and mapping.ranks
    base_rate = float(known.churned.mean())
    bands = bands_of(mapping, base_rate) if shown else Bands()
    return Calibration(
        limits,
        judge(limits, apart.differences, later.differences if later else None),
        document_of(final, known.candidates, name=name, bands=bands, applies_to=applies_to),
        cut,
        later,
        apart,
        tenure_strata(scores, others.tenures, known),
        _probabilities(within, known, mapping, base_rate) if shown else None,
    )


def _learner(at_most: int, seed: int, advance: Advance) -> Learner:
    def learn(known: Readings) -> Scorer:
        found = fit(known, at_most=at_most, seed=seed, advance=advance)
        return lambda readings: found.log_odds(readings.values)

    return learn


def _later(known: Readings, others: Others, learn: Learner, cut: int) -> Evidence | None:
    """The evidence of the split by time; None if there are too few outcomes on either side."""
    past = known.rows(known.outcome_days < cut)
    after = known.rows(known.days >= cut)
    if not Limits(past.churned_accounts, past.stayed_accounts).fits or len(set(after.churned.tolist())) < 2:
        return None
    chosen, scores = by_time(known, learn, cut)
    return evidence(scores, {name: each[chosen] for name, each in others.scores.items()}, after)


def _probabilities(scores: Array, known: Readings, mapping: Logistic, base_rate: float) -> Probabilities:
    shown = mapping.probability(TABLE_SCORES).tolist()
    return Probabilities(
        base_rate,
        mapping,
        list(zip(TABLE_SCORES, shown, strict=True)),
        calibration_table(scores.round(1), known.churned, mapping),  # as people see them
    )

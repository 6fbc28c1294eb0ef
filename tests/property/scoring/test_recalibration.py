"""Another calibration moves nothing: scores, causes and alerts are those of a twin without it; only versions differ."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from scoring.history.explanation import explain_change
from scoring.history.runs import Past, up_to_now
from scoring.history.score_run import ScoreRun
from scoring.rules.policy import Policy
from scoring.scorecards.calibration import ScorecardCalibration
from scoring.scorecards.contributions import Billionths
from scoring.scorecards.scorecard import Scorecard, compile_scorecard
from tests.support.courses import AdvancedAccount, Stop, advance_through, anyhow, policies, streams
from tests.support.oracle import DAY
from tests.support.strategies_scorecards import calibrations

NEXT = 10
"""Versions from the uncalibrated one to the calibrated."""


class Twins(NamedTuple):
    """The same life by scorecards that are never calibrated, and by some that are from the stop `at` on."""

    plain: list[Stop]
    calibrated: list[Stop]
    at: int


def calibrated(card: Scorecard, calibration: ScorecardCalibration, version: int) -> Scorecard:
    return compile_scorecard(replace(card.document, calibration=calibration), version)


def differ(in_turn: Sequence[Policy]) -> bool:
    """True if no document is published twice in a row, as the service never does."""
    one, other = (set(map(id, policy.scorecards)) for policy in in_turn)
    before, after = (
        [card.document for card in policy.scorecards if id(card) in only]
        for policy, only in zip(in_turn, (one - other, other - one), strict=True)
    )
    return before != after


@st.composite
def twins(draw: st.DrawFn) -> Twins:
    in_turn = draw(policies().filter(differ))
    stops = draw(anyhow(draw(streams()), in_turn))
    calibration = msgspec.convert(draw(calibrations()), ScorecardCalibration)
    published = {
        (name, version + NEXT): calibrated(card, calibration, version + NEXT)
        for (name, version), card in in_turn[0].published.items()
    }

    def with_calibration(policy: Policy) -> Policy:
        cards = tuple(published[card.name, card.version + NEXT] for card in policy.scorecards)
        return replace(policy, scorecards=cards, published={**policy.published, **published})

    at = draw(st.integers(0, len(stops) - 1))
    later = [stop._replace(policy=with_calibration(stop.policy)) for stop in stops[at:]]
    return Twins(stops, [*stops[:at], *later], at)


def days_of(runs: Sequence[ScoreRun]) -> dict[int, tuple[object, ...]]:
    """The scores with which accounts closed their days, whatever the version."""
    return {
        day: (run.score, run.band, run.coverage, run.scorecard, run.version % NEXT, run.override)
        for run in runs
        for day in range(run.since, run.day + 1)
    }


def causes(past: Past, first: int, last: int, policy: Policy) -> dict[str, Billionths]:
    """Points by cause. Events that move nothing are recorded on a run's first day alone, which may differ."""
    found = explain_change(past, first, last, policy.find)
    assert found is not None
    return {each.cause: each.deltas for each in found.effects if each.deltas or each.cause == "scorecard"}


def both(lives: Twins) -> tuple[AdvancedAccount, AdvancedAccount]:
    return advance_through(lives.plain), advance_through(lives.calibrated)


@given(twins())
def test_it_changes_no_score_and_no_cause(lives: Twins) -> None:
    plain, other = both(lives)
    assert days_of(plain.runs) == days_of(other.runs)
    policy = lives.calibrated[-1].policy
    one, two = Past(plain.runs), Past(other.runs)
    for first, last in pairwise(days_of(plain.runs)):
        assert causes(one, first, last, lives.plain[-1].policy) == causes(two, first, last, policy)


@given(twins())
def test_it_raises_no_alert_and_switches_no_scorecard(lives: Twins) -> None:
    for step, other in zip(*(account.steps for account in both(lives)), strict=True):
        assert step.crossings == other.crossings
        assert (step.switched, step.memory, step.due) == (other.switched, other.memory, other.due)


@given(twins())
def test_days_that_were_closed_before_keep_their_version(lives: Twins) -> None:
    account = advance_through(lives.calibrated)
    before = max((step.score_run.day for step in account.steps[: lives.at]), default=-1)
    for run in account.runs:
        for day in range(run.since, run.day + 1):
            assert day == before or (run.version >= NEXT) == (day > before)
    assert account.runs[-1].version >= NEXT


@given(twins())
def test_a_reader_sees_it_before_the_account_is_evaluated_again(lives: Twins) -> None:
    stops, policy = lives.plain, lives.calibrated[-1].policy
    account = advance_through(stops)
    stood = account.runs[-1]
    now = max(stops[-1].now, stood.day * DAY)
    last = up_to_now(account.runs[:-1], account.state, stood, policy, now).runs[-1]
    if stops[-1].policy.find(stood.scorecard, stood.version) in stops[-1].policy.scorecards:
        assert policy.successor(stood.scorecard, stood.version) is policy.find(stood.scorecard, stood.version + NEXT)
        if last.since == stood.since:
            assert (last.score, last.version) == (stood.score, stood.version + NEXT)

"""The starters on two logs with known outcomes: each leaves room between accounts, and ranks those who leave."""

from functools import cache
from itertools import groupby

import pytest

from benchmarks.truth.__main__ import COUNT, given_scorecards
from benchmarks.truth.log import read_log
from benchmarks.truth.results import DATA
from scoring.backtest.calibration.candidates import read as read_candidates
from scoring.backtest.calibration.readings import states_at
from scoring.backtest.discrimination import auc
from scoring.backtest.outcomes import decide
from scoring.scorecards.measure import Value
from scoring.scorecards.saturation import saturation
from scoring.scorecards.scorecard import NEUTRAL, Scorecard, read, score
from scoring.state.account_state import RETENTION_DAYS

CARDS = {card.name: card for card in given_scorecards()}
NEARLY_EVERYBODY = 0.75
LOGS = [
    pytest.param(name, marks=pytest.mark.skipif(not (DATA / f"{name}.events.parquet").exists(),
                                                reason=f"the log {name}.events.parquet isn't on this machine"))
    for name in ("social", "crm")
]  # fmt: skip
pytestmark = pytest.mark.timeout(300)


@cache
def decided(log_name: str) -> tuple[list[dict[str, list[Value]]], list[float], list[bool]]:
    """At each decision: the readings by scorecard, the plain count of events, and the outcome."""
    log = read_log(DATA / f"{log_name}.events.parquet", DATA / f"{log_name}.subscriptions.parquet")
    decisions, _ = decide(log.outcomes, log.lifetimes, log.ends, lead_days=3)
    readings: list[dict[str, list[Value]]] = []
    counts: list[float] = []
    for account, group in groupby(decisions, key=lambda decision: decision.account_id):
        days = [decision.day for decision in group]
        for state, day in zip(states_at(log.events[account], days, RETENTION_DAYS), days, strict=True):
            readings.append({name: read(card, state, day) for name, card in CARDS.items()})
            counts += read_candidates([COUNT.reader()], state, day)
    return readings, counts, [decision.outcome.churned for decision in decisions]


def scores(card: Scorecard, readings: list[dict[str, list[Value]]]) -> list[float]:
    found = [score(each[card.name], card, 0).score for each in readings]
    return [NEUTRAL if each is None else each for each in found]


@pytest.mark.parametrize("log", LOGS)
@pytest.mark.parametrize("name", CARDS)
def test_no_measure_gives_full_points_to_nearly_everybody(log: str, name: str) -> None:
    found = saturation(CARDS[name], [each[name] for each in decided(log)[0]])
    assert [each for each in found if each.full > NEARLY_EVERYBODY] == [], found


@pytest.mark.parametrize("log", LOGS[:1])  # of the other log 6 decisions churned: they prove nothing
@pytest.mark.parametrize("name", CARDS)
def test_it_ranks_those_who_leave_better_than_chance(log: str, name: str) -> None:
    readings, _, churned = decided(log)
    assert auc(scores(CARDS[name], readings), churned) > 0.5


@pytest.mark.parametrize("log", LOGS)
def test_the_default_ranks_about_as_well_as_a_plain_count_or_better(log: str) -> None:
    readings, counts, churned = decided(log)
    assert auc(scores(CARDS["default"], readings), churned) > auc(counts, churned) - 0.05

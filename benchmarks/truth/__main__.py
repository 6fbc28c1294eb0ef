"""Measures it: the scorecards that come with the service, a plain count, a calibrated scorecard, gradient boosting."""

import time
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import yaml

from benchmarks.harness.benchmark import run_benchmark
from benchmarks.harness.processes import ROOT
from benchmarks.harness.terminal import say
from benchmarks.truth import adapted, boosting
from benchmarks.truth.log import OutcomeLog, read_log
from benchmarks.truth.results import (
    ADAPTED,
    BOOSTING,
    CALIBRATED,
    PLAIN,
    Ranked,
    SaturationRow,
    StratumRow,
    TruthOptions,
    TruthResults,
)
from scoring.backtest.calibration.calibrate import Others, calibrate
from scoring.backtest.calibration.candidates import Candidate, candidates, read
from scoring.backtest.calibration.evidence import evidence
from scoring.backtest.calibration.folds import by_time, out_of_fold
from scoring.backtest.calibration.readings import Flags, Readings, readings, states_at
from scoring.backtest.calibration.solver import Array
from scoring.backtest.outcomes import Decision, decide
from scoring.scorecards.document import DEFAULT, parse
from scoring.scorecards.measure import Value
from scoring.scorecards.saturation import saturation
from scoring.scorecards.scorecard import Scorecard, compile_scorecard
from scoring.scorecards.scorecard import read as read_card
from scoring.state.account_state import RETENTION_DAYS
from scoring.state.calendar import to_day_text

STARTERS = ROOT / "scoring" / "starters"
COUNT = Candidate("usage_volume", 28)
TENURE = Candidate("tenure_days")
SEED = 0
"""Of the folds: all learn from the same ones."""


class Seen(NamedTuple):
    """One decision: the values of the candidates, the readings of the given scorecards, the plain count, the tenure."""

    values: list[float]
    readings: list[list[Value]]
    plain_count: float
    tenure: float


def measure(results: TruthResults) -> None:
    """Compare all of them on the same decisions."""
    options = results.options
    log = read_log(Path(options.events), Path(options.terms))
    decisions, left_out = decide(log.outcomes, log.lifetimes, log.ends, lead_days=options.lead_days)
    say(f"{options.name}: {len(decisions):,} decisions; {len(left_out):,} outcomes have none")
    cards = given_scorecards()
    tried = candidates(log.features, RETENTION_DAYS)
    seen = list(_look(log, decisions, tried, cards))
    known = readings(tried, decisions, [each.values for each in seen])
    rows = [[each.readings[index] for each in seen] for index in range(len(cards))]
    judged = list(zip(cards, rows, strict=True))
    given = {f"the scorecard {card.name}": adapted.scores_by(card, own) for card, own in judged}
    given[PLAIN] = np.array([each.plain_count for each in seen])
    in_force = {name: given[name] for name in (f"the scorecard {DEFAULT}", PLAIN)}
    say(f"calibrating on {len(known.candidates)} of {len(tried)} candidates …")
    started, cut = time.monotonic(), to_day_text(options.cut)
    others = Others(in_force, np.array([each.tenure for each in seen]).astype(np.int64))
    found = calibrate(known, others, at_most=options.at_most, cut=cut, seed=SEED)
    results.seconds = time.monotonic() - started
    results.sentence = found.verdict.sentence
    if found.out_of_fold is None or found.by_time is None or found.document is None:
        return
    later = known.days >= cut
    results.ranked = [_ranked(name, known, each, later, each[later]) for name, each in given.items()]
    by_default, adapt = known._replace(values=adapted.as_values(rows[0])), adapted.learner(cards[0])
    unseen = out_of_fold(by_default, adapt, seed=SEED)
    results.ranked.append(_ranked(ADAPTED, known, unseen, *by_time(by_default, adapt, cut)))
    results.ranked.append(Ranked.of(CALIBRATED, found.out_of_fold, found.by_time))
    say("gradient boosting …")
    unseen = out_of_fold(known, boosting.learn, seed=SEED)
    results.ranked.append(_ranked(BOOSTING, known, unseen, *by_time(known, boosting.learn, cut)))
    results.decisions, results.churned = found.out_of_fold.decisions, found.out_of_fold.churned
    results.later_decisions, results.later_churned = found.by_time.decisions, found.by_time.churned
    results.saturations = [SaturationRow.of(card.name, each) for card, own in judged for each in saturation(card, own)]
    results.strata = [StratumRow.of(each) for each in found.strata]
    results.scorecard = yaml.safe_dump(msgspec.to_builtins(found.document), sort_keys=False, default_flow_style=None)


def given_scorecards() -> list[Scorecard]:
    """The scorecards that come with the service, each for every account; the default first."""
    documents = [parse(yaml.safe_load(path.read_text()), RETENTION_DAYS) for path in STARTERS.glob("*.yaml")]
    ordered = sorted(documents, key=lambda document: (document.name != DEFAULT, document.name))
    return [compile_scorecard(document, 1) for document in ordered]


def _look(log: OutcomeLog, decisions: list[Decision], tried: list[Candidate], cards: list[Scorecard]) -> Iterator[Seen]:
    """The values at each decision, in their order."""
    readers, own = [each.reader() for each in tried], [COUNT.reader(), TENURE.reader()]
    for account, group in groupby(decisions, key=lambda decision: decision.account_id):
        days = [decision.day for decision in group]
        for state, day in zip(states_at(log.events[account], days, RETENTION_DAYS), days, strict=True):
            count, tenure = read(own, state, day)
            yield Seen(read(readers, state, day), [read_card(card, state, day) for card in cards], count, tenure)


def _ranked(name: str, known: Readings, scores: Array, later: Flags, later_scores: Array) -> Ranked:
    """The row of scores of all decisions, and of the later ones."""
    return Ranked.of(name, evidence(scores, {}, known), evidence(later_scores, {}, known.rows(later)))


if __name__ == "__main__":
    run_benchmark("truth", TruthOptions, TruthResults, measure)

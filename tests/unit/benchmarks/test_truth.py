"""The benchmark of truth: its log, and its results on a small one with a planted reason to leave."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.harness.results import Circumstances, document, report
from benchmarks.truth.__main__ import given_scorecards, measure
from benchmarks.truth.log import read_log
from benchmarks.truth.results import ADAPTED, BOOSTING, CALIBRATED, PLAIN, TruthOptions, TruthResults
from scoring.state.calendar import to_day_text
from scoring.state.events import AttributesEvent
from service.runtime.errors import HealthError

RAN = Circumstances("truth", "now", "make bench-truth", {"processor": "some"})
START = datetime(2020, 1, 1, tzinfo=UTC)
Term = tuple[int, int, int]
"""Account, first day and last day, from the start of 2020."""


def written(folder: Path, events: list[tuple[int, float, str]], terms: list[Term]) -> TruthOptions:
    """Options for a log in two files."""
    accounts, days, features = zip(*events, strict=True)
    usage, subscriptions = folder / "made.events.parquet", folder / "made.subscriptions.parquet"
    times = pa.array([START + timedelta(days=day) for day in days], pa.timestamp("ns"))
    pq.write_table(pa.table({"account": accounts, "time": times, "type": features}), usage)
    texts = [(str(account), *(f"{START + timedelta(days=day):%Y-%m-%d}" for day in days)) for account, *days in terms]
    names = ("account", "start", "end")
    pq.write_table(pa.table(dict(zip(names, map(list, zip(*texts, strict=True)), strict=True))), subscriptions)
    return TruthOptions(str(usage), str(subscriptions), cut="2020-02-20", at_most=4)


def test_a_log_has_events_outcomes_and_the_last_day_on_which_they_are_known(tmp_path: Path) -> None:
    terms = [(7, 0, 30), (7, 30, 60), (8, 5, 35)]
    options = written(tmp_path, [(7, 1.5, "login"), (7, 40, "report"), (8, 6, "login")], terms)
    log = read_log(Path(options.events), Path(options.terms))
    first = to_day_text("2020-01-01")
    found = [(outcome.account_id, outcome.day - first, outcome.churned) for outcome in log.outcomes]
    assert found == [("7", 30, False), ("7", 60, True), ("8", 35, True)]
    assert log.ends == first + 30
    assert log.lifetimes["7"] == (first + 1, first + 40)
    assert log.features == {"login": 2, "report": 1}
    assert [each.values for each in log.events["8"] if isinstance(each, AttributesEvent)] == [
        {"started_on": "2020-01-06"}
    ]


def test_a_missing_file_is_a_message(tmp_path: Path) -> None:
    with pytest.raises(HealthError, match="no such file"):
        read_log(tmp_path / "a.parquet", tmp_path / "b.parquet")


def test_the_default_scorecard_comes_first() -> None:
    assert [card.name for card in given_scorecards()] == ["default", "adoption", "onboarding", "renewal"]


@pytest.mark.timeout(120)
def test_a_planted_reason_to_leave_is_found(tmp_path: Path) -> None:
    """Those who complain leave, whether they use much or little."""
    chance = np.random.default_rng(5)
    events, terms = [], []
    for account in range(160):
        complains = chance.random() < 0.35
        first = int(chance.integers(0, 30))
        last = first + 30 if complains and chance.random() < 0.8 else first + 60
        terms += [(account, day, day + 30) for day in range(first, last, 30)]
        for day in range(first, last):
            events += [(account, day + 0.5, "login") for _ in range(int(chance.integers(1, 4)))]
            if complains and chance.random() < 0.3:
                events.append((account, day + 0.6, "complaint"))
    terms.append((999, 80, 110))  # so that the outcomes up to here are known
    results = TruthResults(RAN, written(tmp_path, events, terms))
    measure(results)
    ranked = {each.name: each for each in results.ranked}
    assert ranked[CALIBRATED].out_of_fold_auc > ranked[PLAIN].out_of_fold_auc + 0.1
    assert ranked[BOOSTING].out_of_fold_auc > 0.6
    assert 0 < ranked[ADAPTED].out_of_fold_auc != ranked["the scorecard default"].out_of_fold_auc
    assert {(each.scorecard, each.measure) for each in results.saturations} >= {("default", "nps"), ("renewal", "nps")}
    assert all(each.missing == 1 for each in results.saturations if each.measure == "nps")
    assert "complaint" in results.scorecard
    shown = report(results)
    assert "Within tenure" in shown
    assert "measured" not in shown.split("## Targets")[1]
    assert "```yaml\nname: default" in document(results)


def test_what_nobody_can_know_is_not_measured() -> None:
    results = TruthResults(RAN, TruthOptions(), sentence="No account has left")
    assert [verdict.met for verdict in results.verdicts()] == [None, None]
    assert "No account has left" in report(results)

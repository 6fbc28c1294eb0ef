"""The differences between two versions, in the words of the document."""

from typing import Any

import pytest

from scoring.scorecards.diff import Difference, differences, in_words
from scoring.scorecards.document import ScorecardDocument, parse
from scoring.state.account_state import RETENTION_DAYS
from tests.unit.scoring.test_scorecard_documents import CALIBRATION, Document, calibrated, document, entry

NPS = entry(measure="nps", window=90, weight=10)


def parsed(written: Document) -> ScorecardDocument:
    return parse(written, RETENTION_DAYS)


def between(before: Document, after: Document) -> list[str]:
    return [in_words(each) for each in differences(parsed(before), parsed(after))]


def measuring(*measures: Document, **changed: Any) -> Document:
    return document(measures=list(measures), **changed)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (measuring(NPS), measuring({**NPS, "weight": 15}), "measures.nps.weight: 10 -> 15"),
        (measuring(NPS), measuring({**NPS, "window": 30}), "measures.nps.window: 90 -> 30"),
        (
            measuring(NPS),
            measuring({**NPS, "curve": [[0, 0], [7.5, 100]]}),
            "measures.nps.curve: [[0, 0], [10, 100]] -> [[0, 0], [7.5, 100]]",
        ),
        (measuring(NPS), measuring({**NPS, "missing": "worst"}), "measures.nps.missing: exclude -> worst"),
        (
            measuring(NPS),
            measuring({**NPS, "veto": {"below": 20, "cap": 35}}),
            "measures.nps.veto: {below: 20, cap: 35}",
        ),
        (measuring(NPS), measuring({**NPS, "measure": "csat", "name": "nps"}), "measures.nps.measure: nps -> csat"),
        (measuring(NPS), measuring(NPS, bands={"yellow": 45}), "bands.yellow: 40 -> 45"),
        (measuring(NPS), measuring(NPS, min_coverage=0.25), "min_coverage: 0.5 -> 0.25"),
        (
            measuring(NPS, entry()),
            measuring(NPS),
            "measures.active_users: {measure: active_users, weight: 1, curve: [[0, 0], [10, 100]], window: 30}",
        ),
        (measuring(NPS, entry()), measuring(entry(), NPS), "measures: [nps, active_users] -> [active_users, nps]"),
        (
            document(name="new", applies_to={"stages": ["trial"]}),
            document(name="new", applies_to={"stages": ["trial", "live"]}),
            "applies_to.stages: [trial] -> [trial, live]",
        ),
        (
            document(name="new", applies_to={"stages": ["trial"]}),
            document(name="new", applies_to={"stages": ["trial"], "tenure_days": [0, 90]}),
            "applies_to.tenure_days: [0, 90]",
        ),
    ],
)
def test_a_difference_is_said_as_people_would(before: Document, after: Document, said: str) -> None:
    assert said in between(before, after)


def test_a_calibration_differs_field_by_field() -> None:
    assert between(document(), calibrated()) == [
        "calibration.calibrated_on: 2026-11-30",
        "calibration.source: social.events.parquet",
        "calibration.first_day: 2026-02-01",
        "calibration.last_day: 2026-06-28",
        "calibration.lead_days: 3",
        "calibration.decisions: 2815",
        "calibration.churned: 74",
        "calibration.probabilities: [[0, 0.31], [5, 0.28], [100, 0.002]]",
    ]
    assert between(calibrated(), document()) == between(document(), calibrated())
    assert between(calibrated(), calibrated(churned=75, horizon_days=30)) == [
        "calibration.horizon_days: 30",
        "calibration.churned: 74 -> 75",
    ]
    assert between(calibrated(), document(calibration=CALIBRATION)) == []


def test_only_what_differs_is_said() -> None:
    assert between(measuring(NPS, entry()), measuring({**NPS, "weight": 11}, entry())) == [
        "measures.nps.weight: 10 -> 11"
    ]
    assert between(measuring(NPS), measuring({**NPS, "weight": 10.0, "missing": "exclude"}, bands={"red": 0})) == []


def test_a_measure_that_comes_has_no_before_and_one_that_goes_no_after() -> None:
    came = differences(parsed(measuring(NPS)), parsed(measuring(entry(), NPS)))
    went = differences(parsed(measuring(entry(), NPS)), parsed(measuring(NPS)))
    assert [(each.field, each.before) for each in came] == [("measures.active_users", None)]
    assert went == [Difference("measures.active_users", came[0].after, None)]


def test_all_of_a_first_version_is_new() -> None:
    new = differences(None, parsed(document(name="new", applies_to={"stages": ["trial"], "rank": 3}, measures=[NPS])))
    assert all(each.before is None for each in new)
    assert [(each.field, each.after) for each in new[:3]] == [
        ("name", "new"),
        ("applies_to.stages", ["trial"]),
        ("applies_to.rank", 3),
    ]
    assert new[-1].field == "measures.nps"

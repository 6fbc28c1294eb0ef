"""Documents that can't be scorecards: each is refused with the field at fault and its allowed values."""

from math import inf, nan
from typing import Any

import pytest

from scoring.scorecards.catalogue import CATALOGUE
from scoring.scorecards.document import InvalidDocumentError, parse
from scoring.scorecards.scorecard import compile_scorecard
from scoring.scorecards.selection import in_order
from scoring.state.account_state import RETENTION_DAYS

Document = dict[str, Any]


def document(**changed: Any) -> Document:
    """A good document with some fields changed."""
    return {"name": "default", "measures": [entry()], **changed}


def entry(**changed: Any) -> Document:
    """A good entry with some fields changed; those that are None are left out."""
    good = {"measure": "active_users", "window": 30, "weight": 1, "curve": [[0, 0], [10, 100]]}
    return {field: value for field, value in {**good, **changed}.items() if value is not None}


def measuring(**changed: Any) -> Document:
    """A good document but for its only entry."""
    return document(measures=[entry(**changed)])


CALIBRATION: Document = {
    "calibrated_on": "2026-11-30",
    "source": "social.events.parquet",
    "first_day": "2026-02-01",
    "last_day": "2026-06-28",
    "lead_days": 3,
    "horizon_days": None,
    "decisions": 2815,
    "churned": 74,
    "probabilities": [[0, 0.31], [5, 0.28], [100, 0.002]],
}


def calibrated(**changed: Any) -> Document:
    """A good document with a calibration of which some fields are changed."""
    return document(calibration={**CALIBRATION, **changed})


def problems(bad: object) -> dict[str, str]:
    """The problems by field."""
    with pytest.raises(InvalidDocumentError) as refused:
        parse(bad, RETENTION_DAYS)
    assert all(f"{problem.field}: {problem.message}" in str(refused.value) for problem in refused.value.problems)
    return {problem.field: problem.message for problem in refused.value.problems}


AT_FAULT: list[tuple[str, object]] = [
    ("measures[0].curve", measuring(curve=[[0, 0], [10, 50], [5, 100]])),
    ("measures[0].curve", measuring(curve=[[0, 0], [0, 100]])),
    ("measures[0].curve", measuring(curve=[])),
    ("measures[0].curve[0]", measuring(curve=[[1]])),
    ("measures[0].curve[1][1]", measuring(curve=[[0, 0], [10, 101]])),
    ("measures[0].curve[0][0]", measuring(curve=[[nan, 0], [10, 100]])),
    ("measures[0].curve[1][0]", measuring(curve=[[0, 0], [inf, 100]])),
    ("measures[0].curve[0][0]", measuring(curve=[[-inf, 0], [10, 100]])),
    ("measures[0].curve[0][0]", measuring(curve=[[10**400, 0]])),
    ("measures[0].curve[0][1]", measuring(curve=[[0, nan]])),
    ("measures[0].weight", measuring(weight=-1)),
    ("measures[0].weight", measuring(weight=nan)),
    ("measures[0].weight", measuring(weight=inf)),
    ("measures[0].weight", measuring(weight=True)),
    ("measures[0].weight", measuring(weight="1")),
    ("measures", measuring(weight=0)),
    ("measures", document(measures=[])),
    ("measures[0].measure", measuring(measure="happiness")),
    ("measures[0].window", measuring(window=93)),
    ("measures[0].window", measuring(window=0)),
    ("measures[0].window", measuring(window=7.5)),
    ("measures[0].window", measuring(window=None)),
    ("measures[0].window", measuring(measure="usage_trend", window=47)),
    ("measures[0].window", measuring(measure="silence_ratio")),
    ("measures[0].features", measuring(features=["login"])),
    ("measures[0].features", measuring(measure="usage_volume", features=[])),
    ("measures[0].features[0]", measuring(measure="usage_volume", features=[""])),
    ("measures[0].priorities", measuring(priorities=["urgent"])),
    ("measures[0].priorities[0]", measuring(measure="open_tickets", window=None, priorities=["critical"])),
    ("measures[0].min_n", measuring(min_n=3)),
    ("measures[0].min_n", measuring(measure="nps", min_n=0)),
    ("measures[0].min_n", measuring(measure="nps", min_n=2.5)),
    ("measures[0].min_n", measuring(measure="silence_ratio", window=None, min_n=2)),
    ("measures[0].missing", measuring(missing="ignore")),
    ("measures[0].missing", measuring(missing=50)),
    ("measures[0].missing.score", measuring(missing={"score": 101})),
    ("measures[0].missing.score", measuring(missing={})),
    ("measures[0].missing.points", measuring(missing={"score": 1, "points": 2})),
    ("measures[0].veto.below", measuring(veto={"below": nan, "cap": 30})),
    ("measures[0].veto.cap", measuring(veto={"below": 20, "cap": 101})),
    ("measures[0].name", measuring(name="Active users")),
    ("measures[1].name", document(measures=[entry(), entry(window=7)])),
    ("measures[1].name", document(measures=[entry(), entry(measure="active_days", name="active_users")])),
    ("bands", document(bands={"yellow": 70, "green": 40})),
    ("bands", document(bands={"yellow": 40, "green": 40})),
    ("bands", document(bands={"red": 10, "yellow": 40, "green": 70})),
    ("bands.green", document(bands={"green": inf})),
    ("min_coverage", document(min_coverage=1.1)),
    ("min_coverage", document(min_coverage=nan)),
    ("name", document(name="Default")),
    ("name", document(name="default\n")),
    ("name", document(name=1)),
    ("applies_to", document(applies_to={"segments": ["smb"]})),
    ("applies_to", document(name="smb")),
    ("applies_to", document(name="smb", applies_to={})),
    ("applies_to", document(name="smb", applies_to={"rank": 5})),
    ("applies_to.tenure_days", document(name="new", applies_to={"tenure_days": [90, 0]})),
    ("applies_to.tenure_days", document(name="new", applies_to={"tenure_days": [90]})),
    ("applies_to.rank", document(name="new", applies_to={"rank": 1.5})),
    ("wieght", document(wieght=2)),
    ("measures[0].wieght", measuring(wieght=2)),
    ("measures[0].veto.under", measuring(veto={"below": 1, "cap": 2, "under": 3})),
    ("bands.blue", document(bands={"blue": 90})),
    ("applies_to.to", document(name="smb", applies_to={"to": ["smb"]})),
    ("calibration.calibrated_on", calibrated(calibrated_on="30 November")),
    ("calibration.source", calibrated(source="")),
    ("calibration.source", calibrated(source="x" * 201)),
    ("calibration.source", calibrated(source="\x00")),
    ("calibration.first_day", calibrated(first_day="2026-06-29")),
    ("calibration.last_day", calibrated(last_day="2026-12-01")),
    ("calibration.lead_days", calibrated(lead_days=-1)),
    ("calibration.lead_days", calibrated(lead_days=2.5)),
    ("calibration.horizon_days", calibrated(horizon_days=0)),
    ("calibration.decisions", calibrated(decisions=0)),
    ("calibration.churned", calibrated(churned=2816)),
    ("calibration.churned", calibrated(churned=-1)),
    ("calibration.probabilities", calibrated(probabilities=[[0, 0.5]])),
    ("calibration.probabilities", calibrated(probabilities=[[score, 0] for score in range(102)])),
    ("calibration.probabilities", calibrated(probabilities=[[0, 0.5], [0, 0.4]])),
    ("calibration.probabilities", calibrated(probabilities=[[5, 0.5], [0, 0.4]])),
    ("calibration.probabilities", calibrated(probabilities=[[0, 0.4], [100, 0.5]])),
    ("calibration.probabilities[1][0]", calibrated(probabilities=[[0, 0.5], [101, 0.4]])),
    ("calibration.probabilities[0][0]", calibrated(probabilities=[[nan, 0.5], [100, 0.4]])),
    ("calibration.probabilities[0][1]", calibrated(probabilities=[[0, 1.5], [100, 0.4]])),
    ("calibration.probabilities[1][1]", calibrated(probabilities=[[0, 0.5], [100, nan]])),
    ("calibration.table", calibrated(table=[])),
    ("document", None),
    ("document", []),
    ("document", "name: default"),
    ("document", {1: 2}),
    ("measures[0]", document(measures=[[]])),
]


@pytest.mark.parametrize(("field", "bad"), AT_FAULT)
def test_the_field_at_fault_is_named(field: str, bad: object) -> None:
    assert list(problems(bad)) == [field]


@pytest.mark.parametrize("field", ["measure", "weight", "curve"])
def test_a_field_that_is_left_out_is_named(field: str) -> None:
    assert "required" in problems(measuring(**{field: None}))[f"measures[0].{field}"]


@pytest.mark.parametrize("field", [field for field in CALIBRATION if field != "horizon_days"])
def test_a_field_of_a_calibration_that_is_left_out_is_named(field: str) -> None:
    without = {name: value for name, value in CALIBRATION.items() if name != field}
    assert "required" in problems(document(calibration=without))[f"calibration.{field}"]


def test_without_a_horizon_a_calibration_is_of_renewals() -> None:
    without = {name: value for name, value in CALIBRATION.items() if name != "horizon_days"}
    assert parse(document(calibration=without), RETENTION_DAYS) == parse(calibrated(), RETENTION_DAYS)


LONGEST_WINDOWS = {
    "active_users": 92,
    "active_days": 92,
    "seat_utilization": 92,
    "usage_volume": 92,
    "usage_trend": 46,
    "feature_adoption": 92,
    "tickets_created": 92,
    "resolution_hours": 92,
    "reopen_rate": 92,
    "ticket_satisfaction": 92,
    "nps": 92,
    "csat": 92,
    "ces": 92,
}
"""Measures that need a window; all others take none."""


@pytest.mark.parametrize("measure", CATALOGUE)
def test_a_window_reaches_as_far_back_as_events_are_kept(measure: str) -> None:
    longest = LONGEST_WINDOWS.get(measure)
    assert parse(measuring(measure=measure, window=longest), RETENTION_DAYS).measures[0].window == longest
    beyond = (longest or 0) + 1
    assert list(problems(measuring(measure=measure, window=beyond))) == ["measures[0].window"]


def test_all_problems_are_named_at_once() -> None:
    bad = document(measures=[entry(window=93), entry(name="b", measure="nsp")], bands={"yellow": 0})
    assert list(problems(bad)) == ["bands", "measures[0].window", "measures[1].measure"]


def test_a_message_says_what_is_allowed() -> None:
    assert "1 to 46 days" in problems(measuring(measure="usage_trend", window=47))["measures[0].window"]
    assert "silence_ratio" in problems(measuring(measure="silence"))["measures[0].measure"]


def test_a_second_default_is_refused_as_there_is_one() -> None:
    message = problems(document(name="smb", applies_to={"rank": 5}))["applies_to"]
    assert "overlapping defaults" in message
    assert "only the scorecard named default" in message


def test_a_range_of_one_day_is_a_range() -> None:
    applies_to = parse(document(name="new", applies_to={"tenure_days": [90, 90]}), RETENTION_DAYS).applies_to
    assert applies_to is not None
    assert applies_to.tenure_days == (90, 90)


def test_what_is_left_out_has_its_default() -> None:
    parsed = parse(document(), RETENTION_DAYS)
    assert (parsed.bands.red, parsed.bands.yellow, parsed.bands.green) == (0, 40, 70)
    assert parsed.min_coverage == 0.5
    assert parsed.measures[0].title == "active_users"
    assert parsed.measures[0].missing == "exclude"


def test_scorecards_without_a_default_are_refused() -> None:
    smb = compile_scorecard(parse(document(name="smb", applies_to={"segments": ["smb"]}), RETENTION_DAYS), 1)
    for scorecards in ([], [smb]):
        with pytest.raises(ValueError, match="no scorecard named default"):
            in_order(scorecards)

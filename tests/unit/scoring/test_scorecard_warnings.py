"""Scorecards that may be published, but probably aren't meant so."""

from typing import Any

import pytest

from scoring.scorecards.document import ScorecardDocument, ScorecardProblem, parse
from scoring.scorecards.lint import overlaps, warnings
from scoring.state.account_state import RETENTION_DAYS
from tests.unit.scoring.test_scorecard_documents import Document, calibrated, document, entry


def warned(odd: Document) -> dict[str, str]:
    """The warnings by field."""
    return {warning.field: warning.message for warning in warnings(parse(odd, RETENTION_DAYS))}


def of_two(**changed: Any) -> Document:
    """A good document whose second entry is changed."""
    return document(measures=[entry(weight=100), entry(name="second", **changed)])


ODD: list[tuple[list[str], Document]] = [
    ([], document()),
    ([], document(measures=[entry(name=f"m{number}") for number in range(10)])),
    (["measures"], document(measures=[entry(name=f"m{number}") for number in range(11)])),
    ([], of_two(weight=2)),
    (["measures[1].weight"], of_two(weight=1)),
    (["measures[1].weight"], of_two(weight=0)),
    ([], of_two(weight=0, veto={"below": 20, "cap": 30})),
    ([], of_two(weight=0.5, veto={"below": 20, "cap": 30})),
    (["measures[1].curve"], of_two(weight=50, curve=[[3, 40]])),
    (["measures[1].curve"], of_two(weight=50, curve=[[0, 40], [1, 40], [2, 40]])),
    ([], of_two(weight=50, curve=[[0, 40], [1, 41]])),
    (["measures[1].veto.below"], of_two(weight=50, curve=[[0, 20], [1, 90]], veto={"below": 20, "cap": 30})),
    ([], of_two(weight=50, curve=[[0, 20], [1, 90]], veto={"below": 20.5, "cap": 30})),
    (["measures[1].veto.cap"], of_two(weight=50, veto={"below": 20, "cap": 100})),
    ([], of_two(weight=50, veto={"below": 20, "cap": 99})),
    (["calibration.probabilities"], calibrated(probabilities=[[0, 0.1], [50, 0.1], [100, 0.1]])),
    ([], calibrated(probabilities=[[0, 0.1], [50, 0.1], [100, 0.09]])),
    (["applies_to.stages"], document(name="new", applies_to={"stages": []})),
    (["measures[1].weight", "measures[1].curve"], of_two(weight=0, curve=[[0, 1]])),
]


@pytest.mark.parametrize(("fields", "odd"), ODD)
def test_what_is_odd_is_named(fields: list[str], odd: Document) -> None:
    assert list(warned(odd)) == fields


def test_a_warning_names_the_measure_and_the_numbers() -> None:
    assert "second" in warned(of_two(weight=0))["measures[1].weight"]
    assert "0.99%" in warned(of_two(weight=1))["measures[1].weight"]
    assert (
        "below 20"
        in warned(of_two(weight=9, curve=[[0, 20], [1, 90]], veto={"below": 20, "cap": 3}))["measures[1].veto.below"]
    )


def for_whom(name: str, **applies_to: Any) -> ScorecardDocument:
    return parse(document(name=name, applies_to=applies_to), RETENTION_DAYS)


SMB = for_whom("smb", segments=["smb", "micro"])


def meeting(**applies_to: Any) -> list[ScorecardProblem]:
    return overlaps(for_whom("new", **applies_to), [SMB, parse(document(), RETENTION_DAYS)])


def test_who_wins_at_the_same_rank_is_said() -> None:
    (warning,) = meeting(tenure_days=[0, 90])
    assert warning.field == "applies_to.rank"
    assert "0 is also the rank of smb" in warning.message
    assert "new wins" in warning.message
    (warning,) = overlaps(SMB, [for_whom("zeta", stages=["live"])])
    assert "smb wins" in warning.message


@pytest.mark.parametrize(
    ("applies_to", "met"),
    [
        ({"segments": ["micro"]}, True),
        ({"segments": ["enterprise"]}, False),
        ({"segments": []}, False),
        ({"segments": ["smb"], "stages": ["live"]}, True),
        ({"stages": ["live"], "rank": 1}, False),
    ],
)
def test_only_those_that_an_account_can_match_both_of_overlap(applies_to: dict[str, Any], met: bool) -> None:
    assert bool(meeting(**applies_to)) == met


@pytest.mark.parametrize(
    ("tenure", "met"), [((0, 89), False), ((0, 90), True), ((100, 200), True), ((366, 400), False)]
)
def test_ranges_of_tenure_meet_at_their_ends(tenure: tuple[int, int], met: bool) -> None:
    other = for_whom("other", tenure_days=[90, 365])
    assert bool(overlaps(for_whom("new", tenure_days=tenure), [other])) == met


def test_what_is_for_nobody_overlaps_nothing() -> None:
    nobody, live = for_whom("nobody", segments=[]), for_whom("live", stages=["live"])
    assert overlaps(nobody, [live]) == overlaps(live, [nobody]) == []


def test_a_new_version_does_not_overlap_the_one_it_replaces() -> None:
    assert overlaps(for_whom("smb", segments=["smb"]), [SMB]) == []

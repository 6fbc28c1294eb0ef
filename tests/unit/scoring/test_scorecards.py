"""Evaluation by example, with numbers that can be checked by hand."""

from typing import Any

import pytest

from scoring.scorecards.document import parse
from scoring.scorecards.scorecard import Evaluation, MeasureResult, compile_scorecard, evaluate
from scoring.scorecards.selection import choose, in_order
from scoring.state.account_state import RETENTION_DAYS
from scoring.state.events import Event
from tests.support.facts import TODAY, answered, calendar, state_of, ticket, used, with_attributes

USE: dict[str, Any] = {"measure": "days_since_last_use", "weight": 3, "curve": [[0, 100], [10, 0]]}
TROUBLE: dict[str, Any] = {"measure": "open_tickets", "weight": 1, "curve": [[0, 100], [4, 0]]}
CAPPED: dict[str, Any] = {**TROUBLE, "veto": {"below": 50, "cap": 20}}
VOICE: dict[str, Any] = {"measure": "nps", "window": 90, "weight": 1, "curve": [[-100, 0], [100, 100]]}


def judged(measures: list[dict[str, Any]], *events: Event, **settings: Any) -> Evaluation:
    document = parse({"name": "default", "measures": measures, **settings}, RETENTION_DAYS)
    return evaluate(compile_scorecard(document, 7), state_of(*events), TODAY)


def test_a_score_is_the_weighted_mean_of_what_counts() -> None:
    evaluation = judged([USE, TROUBLE, VOICE], used(2), ticket("T-1", "open", 1))
    assert (evaluation.score, evaluation.band, evaluation.coverage) == (78.75, "green", 0.8)
    assert (evaluation.day, evaluation.card.name, evaluation.card.version) == (TODAY, "default", 7)
    assert evaluation.measures == {
        "days_since_last_use": MeasureResult(2, 80, 60),
        "open_tickets": MeasureResult(1, 75, 18.75),
        "nps": MeasureResult(None, None, None, "no_answers"),
    }


@pytest.mark.parametrize(
    ("policy", "score", "shown"),
    [
        ("exclude", 78.75, MeasureResult(None, None, None, "no_answers")),
        ("neutral", 73, MeasureResult(None, 50, 10, "no_answers")),
        ("worst", 63, MeasureResult(None, 0, 0, "no_answers")),
        ({"score": 25}, 68, MeasureResult(None, 25, 5, "no_answers")),
    ],
)
def test_what_is_missing_counts_as_its_policy_says(policy: object, score: float, shown: MeasureResult) -> None:
    evaluation = judged([USE, TROUBLE, {**VOICE, "missing": policy}], used(2), ticket("T-1", "open", 1))
    assert evaluation.score == score
    assert evaluation.coverage == 0.8
    assert evaluation.measures["nps"] == shown


def test_below_the_minimum_coverage_there_is_no_score_whatever_the_policy() -> None:
    missing = {**VOICE, "weight": 5, "missing": "worst"}
    evaluation = judged([USE, missing], used(2))
    assert (evaluation.score, evaluation.band, evaluation.coverage) == (None, "unknown", 0.375)
    assert evaluation.measures == {
        "days_since_last_use": MeasureResult(2, 80, None),
        "nps": MeasureResult(None, 0, None, "no_answers"),
    }
    assert judged([USE, missing], used(2), min_coverage=0.375).score == 30


def test_without_any_data_that_counts_there_is_no_score() -> None:
    assert judged([USE, VOICE], min_coverage=0).score is None


def test_coverage_that_is_enough_on_paper_is_enough() -> None:
    weights = [{**USE, "weight": 0.7}, {**TROUBLE, "weight": 0.1}, {**VOICE, "weight": 0.2}]
    assert judged(weights, used(0), min_coverage=0.8).band == "green"


def test_a_score_that_is_70_on_paper_is_green() -> None:
    weights = enumerate((5, 10, 25, 5))
    evaluation = judged([{**TROUBLE, "name": f"m{n}", "weight": weight, "curve": [[0, 70]]} for n, weight in weights])
    assert evaluation.score == 70
    assert evaluation.band == "green"


@pytest.mark.parametrize(("days", "band"), [(0, "green"), (3, "green"), (4, "yellow"), (6, "yellow"), (7, "red")])
def test_a_band_begins_at_its_lowest_score(days: int, band: str) -> None:
    assert judged([USE], used(days)).band == band


class TestVeto:
    def test_it_caps_the_score_and_says_by_how_much(self) -> None:
        evaluation = judged([USE, CAPPED], used(0), *(ticket(f"T-{n}", "open", 1) for n in range(3)))
        assert evaluation.score == 20
        assert evaluation.band == "red"
        assert evaluation.measures["veto:open_tickets"] == MeasureResult(None, None, 20 - 81.25)
        assert evaluation.measures["open_tickets"] == MeasureResult(3, 25, 6.25)

    def test_it_holds_below_its_level_only(self) -> None:
        evaluation = judged([USE, CAPPED], used(0), *(ticket(f"T-{n}", "open", 1) for n in range(2)))
        assert evaluation.measures["open_tickets"].score == 50
        assert evaluation.score == 87.5

    @pytest.mark.parametrize(("days", "score"), [(8, 20), (9, 10)])
    def test_it_never_raises_a_score(self, days: int, score: float) -> None:
        evaluation = judged([{**USE, "veto": {"below": 50, "cap": 20}}], used(days))
        assert evaluation.score == score
        assert list(evaluation.measures) == ["days_since_last_use"]

    def test_missing_data_vetoes_nothing(self) -> None:
        vetoing = {**VOICE, "missing": "worst", "veto": {"below": 50, "cap": 20}}
        assert judged([USE, vetoing], used(0)).score == 75

    def test_the_lowest_cap_holds(self) -> None:
        vetoing = {**VOICE, "veto": {"below": 50, "cap": 10}}
        tickets = (ticket(f"T-{n}", "open", 1) for n in range(3))
        evaluation = judged([USE, CAPPED, vetoing], used(0), *tickets, answered("nps", 0, 1))
        assert evaluation.score == 10
        assert [name for name in evaluation.measures if name.startswith("veto:")] == ["veto:nps"]

    def test_of_equal_caps_the_first_on_the_scorecard_is_named(self) -> None:
        vetoing = {**VOICE, "veto": {"below": 50, "cap": 20}}
        tickets = (ticket(f"T-{n}", "open", 1) for n in range(3))
        evaluation = judged([USE, CAPPED, vetoing], used(0), *tickets, answered("nps", 0, 1))
        assert [name for name in evaluation.measures if name.startswith("veto:")] == ["veto:open_tickets"]

    def test_a_measure_without_weight_may_veto(self) -> None:
        vetoing = {**VOICE, "weight": 0, "veto": {"below": 50, "cap": 20}}
        assert judged([USE, vetoing], used(0), answered("nps", 0, 1)).score == 20


class TestChoice:
    CARDS = in_order(
        compile_scorecard(parse({"name": name, "measures": [USE], **applies_to}, RETENTION_DAYS), 1)
        for name, applies_to in (
            ("default", {}),
            ("smb", {"applies_to": {"segments": ["smb", "micro"], "rank": 5}}),
            ("onboarding", {"applies_to": {"tenure_days": [0, 90], "rank": 1}}),
            ("trial", {"applies_to": {"stages": ["trial"], "segments": ["smb"], "rank": 3}}),
        )
    )

    def chosen(self, *events: Event) -> str:
        return choose(self.CARDS, state_of(*events), TODAY).name

    def test_the_lowest_rank_that_applies_wins(self) -> None:
        assert self.chosen(with_attributes(segment="smb", stage="trial", started_on=calendar(90))) == "onboarding"
        assert self.chosen(with_attributes(segment="smb", stage="trial", started_on=calendar(91))) == "trial"
        assert self.chosen(with_attributes(segment="smb", stage="live")) == "smb"

    def test_a_tenure_includes_both_its_ends(self) -> None:
        chosen = [self.chosen(with_attributes(started_on=calendar(ago))) for ago in (-1, 0, 90, 91)]
        assert chosen == ["default", "onboarding", "onboarding", "default"]

    def test_all_of_what_it_applies_to_must_be_so(self) -> None:
        assert self.chosen(with_attributes(segment="enterprise", stage="trial")) == "default"
        assert self.chosen(with_attributes(segment="micro", stage="trial")) == "smb"

    def test_the_rest_have_the_default(self) -> None:
        assert self.chosen() == "default"
        assert self.chosen(with_attributes(2, segment="smb"), with_attributes(1, segment=None)) == "default"

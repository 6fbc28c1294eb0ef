"""Readings of decisions by an engine: the values, scores and counts of that day, and reasons where there is none."""

from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from scoring.backtest.calibration.candidates import Candidate, CandidatesError, candidates
from scoring.backtest.calibration.readings import read_account
from scoring.backtest.horizon import Timing
from scoring.backtest.outcomes import Outcome
from scoring.rules.policy import Policy
from scoring.scorecards.document import parse
from scoring.scorecards.scorecard import compile_scorecard
from scoring.scorecards.selection import in_order
from scoring.state.calendar import to_day
from scoring.state.events import Event
from service.jobs.backtest.judgements import judge
from service.jobs.backtest.policy_codec import encode_policy
from service.jobs.backtest.readings_task import NOT_FOR_IT, FeaturesTask, ReadingsTask, encode_outcomes
from service.messaging.cloudevents import decode_structured, now_micros, signal_of
from tests.support.calibration_logs import BEGIN, account_changed, usage
from tests.support.cloud_events import encode
from tests.support.event_logs import log_of, replayed, some_policy

RETENTION = 92
END = BEGIN + timedelta(days=40)
DECISION = to_day(END) - 3
CANDIDATES = (Candidate("active_days", 28), Candidate("usage_volume", 14, "report"), Candidate("tenure_days"))
CARD = {"measure": "days_since_last_use", "weight": 1, "curve": [[0, 100], [20, 0]]}
EARLY = Candidate("usage_volume", 28)


def decoded(*events: dict[str, Any]) -> list[Event]:
    found = []
    for each in events:
        event = decode_structured(signal_of(each["type"]), encode(each), now_micros())
        found.append(event.event)
    return found


def policy_of(*documents: dict[str, Any]) -> Policy:
    return Policy(in_order(compile_scorecard(parse(each, RETENTION), 1) for each in documents), retention=RETENTION)


DEFAULT = {"name": "default", "measures": [CARD]}
TASK = ReadingsTask(
    CANDIDATES,
    encode_policy(policy_of(DEFAULT)),
    encode_outcomes([Outcome("a", to_day(END), churned=True)]),
    to_day(END) + 5,
    Timing(3),
)


def rows_of(task: ReadingsTask, *events: dict[str, Any], account: str = "a") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = task.rows(account, decoded(*events)).to_pylist()
    return found


LIFE = [usage("a", BEGIN + timedelta(days=day), "report") for day in range(0, 36, 3)]


def test_a_decision_has_the_values_score_count_and_age_of_its_day() -> None:
    (row,) = rows_of(TASK, *LIFE)
    last = to_day(BEGIN) + 33
    assert (row["day"], row["outcome_day"], row["churned"], row["left_out"]) == (DECISION, to_day(END), True, None)
    assert row["score"] == 100 - 5 * (DECISION - last)
    assert row["events"] == 8  # every third day from the 12th to the 33rd: 28 days up to the 37th begin with the 10th
    assert row["tenure"] == 37
    assert row["values"] == pytest.approx([8, 4, np.nan], nan_ok=True)


def test_the_age_counts_from_the_day_on_which_the_account_started() -> None:
    (row,) = rows_of(TASK, *LIFE, account_changed("a", BEGIN, started_on=str(BEGIN - timedelta(days=100))))
    assert row["tenure"] == 137
    assert row["values"][2] == 137


def test_an_account_of_which_too_little_is_known_has_no_score() -> None:
    card = {"measure": "nps", "window": 30, "weight": 1, "curve": [[-100, 0], [100, 100]]}
    task = replace(TASK, policy=encode_policy(policy_of({"name": "default", "measures": [card]})))
    assert rows_of(task, *LIFE)[0]["score"] is None


LATER = [
    usage("a", END - timedelta(days=2), "report"),
    account_changed("a", END - timedelta(days=2), stage="churned", churned_on=str(END)),
    account_changed("a", END + timedelta(days=1), renews_on=str(END + timedelta(days=365)), started_on="2020-01-01"),
    account_changed("a", END, seats=0, segment="lost"),
]


@pytest.mark.parametrize("later", LATER)
def test_nothing_after_the_decision_counts(later: dict[str, Any]) -> None:
    every = candidates({"report": 3}, RETENTION)
    task = replace(TASK, candidates=tuple(every))
    (alone,), (beside,) = rows_of(task, *LIFE), rows_of(task, *LIFE, later)
    np.testing.assert_array_equal(alone.pop("values"), beside.pop("values"))
    assert alone == beside
    earlier = rows_of(task, *LIFE, usage("a", END - timedelta(days=3), "report"))[0]
    assert earlier["events"] == alone["events"] + 1


def test_what_is_written_because_an_account_leaves_is_no_candidate_even_on_the_day() -> None:
    """Stage, churned_on and renews_on change no reading at all, whenever they are set."""
    task = replace(TASK, candidates=tuple(candidates({"report": 3}, RETENTION)))
    knowing = [
        account_changed("a", END - timedelta(days=10), stage="notice given", churned_on=str(END)),
        account_changed("a", BEGIN, renews_on=str(END)),
    ]
    (alone,), (beside,) = rows_of(task, *LIFE), rows_of(task, *LIFE, *knowing)
    np.testing.assert_array_equal(alone["values"], beside["values"])
    with pytest.raises(CandidatesError, match="knows the outcome"):
        rows_of(replace(TASK, candidates=(Candidate("days_to_renewal"),)), *LIFE)


def test_outcomes_without_a_decision_have_their_reason() -> None:
    outcomes = [Outcome("a", to_day(BEGIN) + 1, True), Outcome("a", to_day(END), False), Outcome("a", 30_000, False)]
    rows = rows_of(replace(TASK, outcomes=encode_outcomes(outcomes)), *LIFE)
    assert [(row["outcome_day"], row["left_out"]) for row in rows] == [
        (to_day(END), None),
        (to_day(BEGIN) + 1, "the account had no event yet on the day of the decision"),
        (30_000, "it lies after the end of the log"),
    ]
    assert rows_of(TASK, *LIFE, account="b") == []


def test_a_scorecard_for_some_accounts_is_calibrated_on_those_alone() -> None:
    large = {"name": "large", "applies_to": {"segments": ["large"]}, "measures": [CARD]}
    task = replace(TASK, policy=encode_policy(policy_of(large, DEFAULT)), name="large")
    assert rows_of(task, *LIFE)[0]["left_out"] == NOT_FOR_IT
    grown = account_changed("a", END - timedelta(days=2), segment="large")
    assert rows_of(task, *LIFE, grown)[0]["left_out"] == NOT_FOR_IT  # on the day of the decision it wasn't yet
    (row,) = rows_of(task, *LIFE, account_changed("a", BEGIN, segment="large"))
    assert row["left_out"] is None


def test_scores_and_counts_are_those_of_a_back_test() -> None:
    accounts = [f"acme-{number}" for number in range(8)]
    events = log_of(accounts)
    policy = some_policy()
    ends = to_day(date(2024, 2, 29))
    outcomes = [Outcome(account, ends - 2 * number, number % 2 == 0) for number, account in enumerate(accounts)]
    rows = replayed(events, policy, (ends + 1) * 86_400_000_000 - 1)
    judged = judge(rows, outcomes, ends, Timing(3), [])
    task = ReadingsTask((EARLY,), encode_policy(policy), encode_outcomes(outcomes), ends, Timing(3))
    by_id = {(each["source"], each["id"]): each for each in reversed(events)}
    found = [
        row
        for account in accounts
        for row in rows_of(task, *(each for each in by_id.values() if each["subject"] == account), account=account)
    ]
    assert [row["score"] for row in found] == [each.score for each in judged.scores]
    assert [row["events"] for row in found] == [each.score for each in judged.counts]


def test_values_are_those_of_the_account_read_by_itself() -> None:
    every = candidates({"login": 2, "export": 1}, RETENTION)
    events = decoded(*(each for each in log_of(["a"], seed=3)))
    days = [DECISION - 20, DECISION]
    task = replace(
        TASK, candidates=tuple(every), outcomes=encode_outcomes(Outcome("a", day + 3, False) for day in days)
    )
    rows = task.rows("a", events).to_pylist()
    wanted = read_account(events, every, days, RETENTION)
    np.testing.assert_allclose([row["values"] for row in rows], wanted, rtol=1e-6)


def test_features_are_counted_by_event() -> None:
    events = decoded(*LIFE, usage("a", BEGIN, "login"), account_changed("a", BEGIN, seats=3))
    rows = FeaturesTask().rows("a", events).to_pylist()
    assert [(row["feature"], row["events"]) for row in rows] == [("login", 1), ("report", 12)]

"""Counting distinct users and respondents: exact up to the limit, unbiased and within 2 % above it.

The hashes are drawn with fixed seeds, so what these tests find they find every time.
"""

from itertools import pairwise
from random import Random
from statistics import fmean, pstdev
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.scorecards.catalogue import CATALOGUE
from scoring.scorecards.measure import Parameters
from scoring.state import distinct_sample
from scoring.state.account_state import AccountState
from scoring.state.calendar import start_of
from scoring.state.distinct_sample import ALL, estimate, shrink
from scoring.state.events import Event, SurveyEvent, UsageEvent
from tests.support.folding import encoded, folded

DAY = 20_000
EXACT = 4_096
"""The number up to which the design promises exact counts."""
STANDARD_ERROR = 0.02
"""The promised standard error, as a share of the count."""


def hashes(seed: int, count: int) -> list[int]:
    random = Random(seed)
    return [random.getrandbits(64) for _ in range(count)]


def uses(users: list[int]) -> list[Event]:
    return [UsageEvent("acme", start_of(DAY), DAY, DAY, "login", user, 1) for user in users]


def answers(respondents: list[int]) -> list[Event]:
    """Answers to an NPS survey: every other respondent is a promoter, of the rest every other a detractor."""
    scores = (10, 0, 10, 7)
    return [
        SurveyEvent("acme", start_of(DAY), DAY, str(index), "nps", respondent, scores[index % 4] * 10**6, 10**7)
        for index, respondent in enumerate(respondents)
    ]


def in_two_ways(events: list[Event]) -> tuple[AccountState, AccountState]:
    """The states after one batch, and after many in another order with many events twice."""
    again = [*events, *events[::3]]
    Random(1).shuffle(again)
    return folded([events], 92), folded([again[first : first + 3_000] for first in range(0, len(again), 3_000)], 92)


def value(measure: str, state: AccountState) -> float:
    result = CATALOGUE[measure].build(Parameters(window=30))(state, DAY)
    assert isinstance(result, float)
    return result


@pytest.mark.parametrize("users", [1, EXACT - 1, EXACT])
def test_users_up_to_the_limit_are_counted_exactly(users: int) -> None:
    events = uses(hashes(1, users))
    assert value("active_users", folded([events, events[::2]], 92)) == users


@pytest.mark.parametrize("users", [EXACT + 1, 12_000])
def test_above_the_limit_the_order_of_users_does_not_matter(users: int) -> None:
    one, other = in_two_ways(uses(hashes(2, users)))
    assert one.usage.users == other.usage.users
    assert one.usage.users_below == other.usage.users_below
    assert len(one.usage.users) == EXACT
    assert value("active_users", one) == pytest.approx(users, rel=2 * STANDARD_ERROR)


def test_above_the_limit_the_order_of_respondents_does_not_matter() -> None:
    one, other = in_two_ways(answers(hashes(3, 12_000)))
    assert encoded(one) == encoded(other)
    assert len(one.surveys.surveys["nps"].last) == EXACT
    assert value("nps", one) == pytest.approx(25, abs=100 * STANDARD_ERROR)


def test_the_estimate_is_unbiased_and_within_its_error() -> None:
    count, trials = 9_000, 120
    errors = []
    for seed in range(trials):
        members = dict.fromkeys(hashes(seed, count), 0)
        below = shrink(members, ALL)
        errors.append(estimate(len(members), below) / count - 1)
    assert pstdev(errors) <= STANDARD_ERROR
    assert abs(fmean(errors)) <= 3 * STANDARD_ERROR / trials**0.5


def test_the_estimate_of_a_part_is_unbiased_too() -> None:
    count, part, trials = 9_000, 3_000, 120
    errors = []
    for seed in range(trials):
        members = {member: index < part for index, member in enumerate(hashes(seed, count))}
        below = shrink(members, ALL)
        errors.append(estimate(sum(members.values()), below) / part - 1)
    # A part has fewer members in the sample, and so a larger error; what counts is that it errs to no side.
    assert abs(fmean(errors)) <= 3 * pstdev(errors) / trials**0.5


@given(st.permutations(range(100, 110)), st.integers(0, 10), st.lists(st.integers(0, 10), max_size=4))
def test_the_smallest_hashes_stay_whenever_it_is_shrunk(arriving: list[int], count: int, cuts: list[int]) -> None:
    arriving = arriving[:count]
    kept: dict[int, None] = {}
    below = ALL
    with patch.object(distinct_sample, "LIMIT", 3):
        for first, last in pairwise([0, *sorted(cuts), count]):
            kept.update(dict.fromkeys(member for member in arriving[first:last] if member < below))
            below = shrink(kept, below)
    smallest = sorted(arriving)
    assert set(kept) == set(smallest[:3])
    assert below == (smallest[3] if count > 3 else ALL)

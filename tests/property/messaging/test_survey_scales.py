"""Whatever scale an answer names, it is refused or worth 0 to 100, and the ends of the scale are worth just these."""

import json
from fractions import Fraction

from hypothesis import example, given
from hypothesis import strategies as st

from scoring.scorecards.catalogue import CATALOGUE
from scoring.scorecards.measure import Parameters
from scoring.state.account_state import AccountState, fold
from scoring.state.calendar import day_of
from scoring.state.events import SurveyEvent
from service.messaging.cloudevents import decode_structured
from service.messaging.envelope import InvalidEventError

TAKEN_AT = 1_772_712_000_000_000
ends = st.none() | st.integers(-10, 110) | st.floats(-1000, 1000)


def decoded(survey: str, score: float, scale_min: float | None, scale_max: float | None) -> SurveyEvent | None:
    """The answer as it is folded; None if it is refused."""
    data = {"survey": survey, "response_id": "r", "score": score, "scale_min": scale_min, "scale_max": scale_max}
    event = {"specversion": "1.0", "id": "e", "source": "s", "type": "survey.answered", "subject": "a"}
    whole = {**event, "time": "2026-03-05T12:00:00Z", "data": data}
    try:
        found = decode_structured("survey", json.dumps(whole).encode(), TAKEN_AT).event
    except InvalidEventError:
        return None
    assert isinstance(found, SurveyEvent)
    return found


def worth(answer: SurveyEvent) -> float:
    state = AccountState()
    fold(state, [answer])
    value = CATALOGUE[answer.survey].build(Parameters(window=30))(state, day_of(TAKEN_AT))
    assert isinstance(value, float)
    return value


@given(st.sampled_from(["csat", "ces"]), ends, ends, st.integers(-1, 11))
@example("csat", 1, 1.0000001, 5)
@example("csat", None, 0, 5)
def test_every_answer_is_worth_0_to_100(survey: str, low: float | None, high: float | None, tenths: int) -> None:
    bottom = 1 if low is None else low
    top = {"csat": 5, "ces": 7}[survey] if high is None else high
    answer = decoded(survey, bottom + (top - bottom) * tenths / 10, low, high)
    if answer is None:
        assert top - bottom < 1e-5 or not 0 <= tenths <= 10
        return
    exact = Fraction(answer.score - answer.scale_min, answer.scale_max - answer.scale_min)
    assert 0 <= worth(answer) <= 100
    assert abs(worth(answer) - 100 * exact) < 1e-9
    assert tenths not in (0, 10) or worth(answer) == 10 * tenths


@given(st.floats(-1, 11) | st.integers(-1, 11))
def test_nps_takes_whole_numbers_of_0_to_10(score: float) -> None:
    is_whole = float(score).is_integer() and 0 <= score <= 10
    answer = decoded("nps", score, None, None)
    assert (answer is not None) == is_whole
    if answer is not None:
        assert worth(answer) == (100 if answer.score >= 9_000_000 else -100 if answer.score <= 6_000_000 else 0)

"""Measures of answers to surveys."""

from collections.abc import Callable

from scoring.scorecards.measure import Measure, Missing, Parameters, Value
from scoring.state.account_state import AccountState
from scoring.state.calendar import day_of, first_day
from scoring.state.surveys import SurveyAnswer


def _answers(state: AccountState, survey: str, day: int, window: int) -> list[SurveyAnswer]:
    answers = state.surveys.surveys.get(survey)
    if answers is None:
        return []
    first = first_day(day, window)
    return [answer for answer in answers.last.values() if day_of(answer.at) >= first]


def nps(p: Parameters) -> Measure:
    """Percentage of promoters less that of detractors in the window."""

    def measure(state: AccountState, day: int) -> Value:
        answers = _answers(state, "nps", day, p.window)
        if len(answers) < p.min_n:
            return Missing.TOO_FEW_ANSWERS if answers else Missing.NO_ANSWERS
        promoters = sum(1 for answer in answers if answer.score >= 9_000_000)
        detractors = sum(1 for answer in answers if answer.score <= 6_000_000)
        return 100.0 * (promoters - detractors) / len(answers)

    return measure


def mean_answer(survey: str) -> Callable[[Parameters], Measure]:
    """Mean answer in the window, as a percentage of its scale."""

    def build(p: Parameters) -> Measure:
        def measure(state: AccountState, day: int) -> Value:
            answers = _answers(state, survey, day, p.window)
            if len(answers) < p.min_n:
                return Missing.TOO_FEW_ANSWERS if answers else Missing.NO_ANSWERS
            shares = [(each.score - each.scale_min) / (each.scale_max - each.scale_min) for each in answers]
            return 100.0 * sum(sorted(shares)) / len(shares)

        return measure

    return build


def days_since_survey(_: Parameters) -> Measure:
    """Days since the last answer to any survey."""

    def measure(state: AccountState, day: int) -> Value:
        return float(max(day - day_of(state.surveys.newest_at), 0)) if state.surveys.surveys else Missing.NO_SURVEY

    return measure

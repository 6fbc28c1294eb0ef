"""The survey signal: the last answer of each respondent to each survey."""

from collections.abc import Sequence

from msgspec import Struct, field

from scoring.state.calendar import day_of
from scoring.state.distinct_sample import ALL, shrink
from scoring.state.events import LOWEST, SurveyEvent
from scoring.state.sorted_dicts import sort_keys


class SurveyAnswer(Struct, frozen=True, order=True, array_like=True, gc=False):
    """One answer; `score` and the ends of its scale are millionths. The order of the fields is "last writer wins".

    Answers stored before scales had a lower end are read with the usual one.
    """

    at: int
    id: str
    score: int
    scale_max: int
    scale_min: int = LOWEST


class SurveyAnswers(Struct, array_like=True):
    """Last answer per respondent hash of one survey; a sample of the hashes under `below`."""

    last: dict[int, SurveyAnswer] = field(default_factory=dict)
    below: int = ALL


class SurveyState(Struct, array_like=True, gc=False):
    """The state that survey events leave. Answers dated after `newest` wait in `pending`."""

    newest: int = -1
    newest_at: int = 0
    surveys: dict[str, SurveyAnswers] = field(default_factory=dict)
    pending: dict[str, dict[int, SurveyAnswer]] = field(default_factory=dict)


def fold_surveys(state: SurveyState, events: Sequence[SurveyEvent], retention: int) -> int:
    """Fold events into `state`, in place; returns the number left out as late, by their own broker day."""
    newest = max([event.broker_day for event in events])
    if newest > state.newest:
        advance_surveys(state, newest)
    late = 0
    for event in events:
        day = day_of(event.at)
        if day <= event.broker_day - retention:
            late += 1
            continue
        answer = SurveyAnswer(event.at, event.id, event.score, event.scale_max, event.scale_min)
        if day > state.newest:
            _keep_newer(state.pending.setdefault(event.survey, {}), event.respondent, answer)
        else:
            _settle(state, event.survey, event.respondent, answer)
    for answers in state.surveys.values():
        answers.below = shrink(answers.last, answers.below)
        sort_keys(answers.last)
    for waiting in state.pending.values():
        sort_keys(waiting)
    sort_keys(state.surveys)
    sort_keys(state.pending)
    return late


def advance_surveys(state: SurveyState, newest: int) -> None:
    """Advance the newest day and apply the pending answers up to it. A respondent's last answer never expires."""
    state.newest = newest
    pending, state.pending = state.pending, {}
    for survey, answers in pending.items():
        for respondent, answer in answers.items():
            if day_of(answer.at) <= newest:
                _settle(state, survey, respondent, answer)
            else:
                state.pending.setdefault(survey, {})[respondent] = answer


def _settle(state: SurveyState, survey: str, respondent: int, answer: SurveyAnswer) -> None:
    state.newest_at = max(state.newest_at, answer.at)
    answers = state.surveys.get(survey)
    if answers is None:
        answers = state.surveys[survey] = SurveyAnswers()
    if respondent < answers.below:
        _keep_newer(answers.last, respondent, answer)


def _keep_newer(answers: dict[int, SurveyAnswer], respondent: int, answer: SurveyAnswer) -> None:
    known = answers.get(respondent)
    if known is None or known < answer:
        answers[respondent] = answer

"""The scorecard that comes with the service, on accounts that everybody knows."""

from functools import cache
from pathlib import Path

import yaml

import scoring
from scoring.scorecards.document import parse
from scoring.scorecards.scorecard import Evaluation, Scorecard, compile_scorecard, evaluate
from scoring.state.account_state import RETENTION_DAYS
from scoring.state.events import Event
from tests.support.facts import TODAY, answered, state_of, ticket, used, with_attributes

PEOPLE = ("ann", "bob", "cem", "dee", "eva", "fay", "gus", "hal")
FEATURES = ("login", "report", "export", "share", "admin", "search")


@cache
def starter() -> Scorecard:
    text = (Path(scoring.__file__).parent / "starters" / "default.yaml").read_text()
    return compile_scorecard(parse(yaml.safe_load(text), RETENTION_DAYS), 1)


def judged(*events: Event) -> Evaluation:
    return evaluate(starter(), state_of(*events), TODAY)


def workdays(first: int, last: int, people: int, features: int) -> list[Event]:
    """Days of use, five in seven, from `first` to `last` days ago."""
    days = [ago for ago in range(first, last - 1, -1) if (TODAY - ago) % 7 < 5]
    return [used(ago, feature, user) for ago in days for user in PEOPLE[:people] for feature in FEATURES[:features]]


PROMOTERS = [answered("nps", 9, 20, who) for who in ("ann", "bob", "cem")]
ASKED = with_attributes(90, seats=10, segment="smb")
HEALTHY = judged(ASKED, *workdays(80, 0, 8, 6), *PROMOTERS, ticket("T-1", "solved", 30, solved=28))
FADING = judged(ASKED, *workdays(80, 30, 8, 6), *workdays(29, 6, 3, 2), answered("nps", 7, 60))
SILENT = judged(ASKED, *workdays(85, 40, 8, 6), ticket("T-1", "open", 35, ago=35, priority="urgent"))
NEVER_USED = judged(ASKED)
ONLY_ASKED = judged(ASKED, *PROMOTERS)


def test_it_is_the_default() -> None:
    assert starter().name == "default"


def test_a_healthy_account_is_green_on_full_data() -> None:
    assert HEALTHY.score is not None
    assert HEALTHY.score > 80
    assert HEALTHY.band == "green"
    assert HEALTHY.coverage == 1


def test_a_fading_account_is_yellow() -> None:
    assert FADING.score is not None
    assert 40 < FADING.score < 70
    assert FADING.band == "yellow"


def test_an_account_that_has_just_begun_is_not_at_risk_until_it_stays_away() -> None:
    first_day, a_week_later = judged(used(0)), judged(used(7))
    assert (first_day.band, a_week_later.band) == ("yellow", "red")


def test_a_silent_account_is_red() -> None:
    assert SILENT.score is not None
    assert SILENT.score < 20
    assert SILENT.band == "red"


def test_an_account_that_never_used_it_is_unknown_not_green() -> None:
    assert NEVER_USED.score is None
    assert NEVER_USED.band == "unknown"
    assert NEVER_USED.measures["silence_ratio"].missing == "no_usage_ever"


def test_answers_alone_are_too_little_to_judge_by() -> None:
    assert ONLY_ASKED.band == "unknown"
    assert ONLY_ASKED.measures["nps"].score == 100
    assert ONLY_ASKED.coverage < 0.5


def test_silence_alone_makes_a_healthy_account_red() -> None:
    events = [ASKED, *workdays(80, 0, 8, 6), *PROMOTERS]
    scores = [evaluate(starter(), state_of(*events), TODAY + days).score for days in (0, 7, 14, 21, 30, 45)]
    known = [score for score in scores if score is not None]
    assert len(known) == len(scores)
    assert known == sorted(known, reverse=True)
    assert known[-1] < 40

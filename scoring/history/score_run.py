"""What stands of an account: the score as it was last made, since when, and what happened on that day."""

from msgspec import Struct

from scoring.scorecards.override import Override
from scoring.scorecards.readings import decode_readings
from scoring.scorecards.scorecard import Band, Evaluation, Scorecard, score
from scoring.state.calendar import day_of

AHEAD_MICROSECONDS = 5 * 60 * 1_000_000
"""By how much clocks may differ: just before midnight, one that is ahead judges at the day that is about to begin."""


class ScoreRun(Struct, frozen=True, gc=False):
    """A score of `day`, with whose points all days from `since` on were the same. Days are day numbers.

    `readings` are as encoded, and so is `journal`: what moved the account on the day `since`, up to there.
    """

    day: int
    since: int
    score: float | None
    band: Band
    coverage: float
    scorecard: str
    version: int
    readings: str
    journal: bytes | None = None
    override: Override | None = None

    def evaluation(self, card: Scorecard) -> Evaluation:
        """The evaluation that left it, by its scorecard."""
        return score(decode_readings(self.readings), card, self.day)


def is_ahead(score_run: ScoreRun | None, now: int) -> bool:
    """Whether it was judged at a day that is yet to come at `now` (microseconds), by a clock that was wrong."""
    return score_run is not None and score_run.day > day_of(now + AHEAD_MICROSECONDS)

"""The current score of an account, its start, and the journal of the day on which it started."""

import msgspec
from msgspec import Struct

from scoring.scorecards.measure import Value
from scoring.scorecards.override import Override
from scoring.scorecards.scorecard import Band, Evaluation, Scorecard, score
from scoring.state.calendar import day_of

AHEAD_MICROSECONDS = 5 * 60 * 1_000_000
"""Tolerance between clocks: just before midnight, one that is ahead evaluates at the coming day."""


_readings = msgspec.json.Decoder(list[Value])
_encoder = msgspec.json.Encoder()


def encode_readings(readings: list[Value]) -> str:
    """The stored text of the values, or reasons why they are missing, of all measures; equal ones give equal text."""
    return _encoder.encode(readings).decode()


def decode_readings(stored: str) -> list[Value]:
    """The readings that `encode_readings` encoded."""
    return _readings.decode(stored)


class ScoreRun(Struct, frozen=True, gc=False):
    """A run of days with the same contributions: from `since` to `day`. Days are day numbers.

    `readings` are encoded, and so is `journal`, which records what moved the account on the day `since`.
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
        """The evaluation that it was made from, given its scorecard."""
        return score(decode_readings(self.readings), card, self.day)


def is_ahead(day: int, now: int) -> bool:
    """True for an evaluation of a `day` that is still to come at `now` (microseconds): a clock was wrong."""
    return day > day_of(now + AHEAD_MICROSECONDS)

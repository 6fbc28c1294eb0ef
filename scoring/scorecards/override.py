"""Overrides: a score or a band set by hand."""

from msgspec import Struct

from scoring.scorecards.scorecard import Band, Evaluation, band_of


class Override(Struct, frozen=True, omit_defaults=True):
    """A score or a band set by hand. Times are in microseconds; without `expires_at` it stays until withdrawn."""

    reason: str
    author: str
    set_at: int
    score: float | None = None
    band: Band | None = None
    expires_at: int | None = None

    def over(self, evaluation: Evaluation) -> tuple[float | None, Band]:
        """The effective score and band, in place of the computed ones. A score by hand has the scorecard's band."""
        if self.score is None:
            return evaluation.score, self.band or evaluation.band
        card = evaluation.card
        return self.score, self.band or band_of(self.score, card.yellow, card.green)

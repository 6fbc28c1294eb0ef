"""The share of a score that each reading of a measure has, remembered: the same few readings occur again and again."""

from scoring.scorecards.curve import Curve
from scoring.scorecards.measure import Missing, Value

MOST_KEPT = 2_000
"""The most readings of a measure that are remembered, a few hundred kilobytes; then it begins again."""
NO_CAP = 100.0

Share = tuple[float, float, float, float]
"""Weight with data, weight that counts, weighted points, and the cap of a veto."""


class Scale(dict[Value, Share]):
    """The shares of a measure's readings. Looking one up takes a third of the time of computing it, and a fold does
    that for each measure of each account.
    """

    __slots__ = ("_absent", "_curve", "_veto_below", "_veto_cap", "_weight")

    def __init__(self, weight: float, curve: Curve, absent: float | None, veto_below: float, veto_cap: float) -> None:
        """`absent` is the score of a missing value; None excludes it. A value that scores below `veto_below` caps."""
        super().__init__()
        self._weight = weight
        self._curve = curve
        self._absent = absent
        self._veto_below = veto_below
        self._veto_cap = veto_cap

    def __missing__(self, reading: Value) -> Share:
        """Compute and remember the share of a reading."""
        if len(self) >= MOST_KEPT:
            self.clear()
        share = self[reading] = self._share(reading)
        return share

    def _share(self, reading: Value) -> Share:
        if isinstance(reading, Missing):
            counts = 0.0 if self._absent is None else self._weight
            return 0.0, counts, counts * (self._absent or 0.0), NO_CAP
        points, weight = self._curve(reading), self._weight
        return weight, weight, weight * points, self._veto_cap if points < self._veto_below else NO_CAP

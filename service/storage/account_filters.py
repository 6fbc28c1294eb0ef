"""Which accounts a list is of, as SQL conditions on `accounts a` and `scores s`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from service.storage.account_orders import quarter_of, slot_of

BANDS = ("red", "yellow", "green", "unknown")


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which accounts; None takes all. Of several values, one has to match. Scores include both ends."""

    bands: Sequence[str] | None = None
    segments: Sequence[str] | None = None
    stages: Sequence[str] | None = None
    owners: Sequence[str] | None = None
    min_score: float | None = None
    max_score: float | None = None
    evaluated_since: datetime | None = None

    def of_attributes(self, table: str = "a") -> list[str]:
        """Conditions on the attributes, which both tables have: `a` is for its indexes, `s` for rows at hand."""
        columns = {"segment": self.segments, "stage": self.stages, "owner": self.owners}
        # An index is read in order for one value, but not for an array that happens to have one.
        return [
            f"{table}.{name} = (CAST(:{name}s AS text[]))[1]" if len(values) == 1 else f"{table}.{name} = ANY(:{name}s)"
            for name, values in columns.items()
            if values is not None
        ]

    def of_scores(self) -> list[str]:
        """Conditions on `scores`."""
        conditions = ["s.band = ANY(:bands)"] if self.bands is not None else []
        conditions += [f"s.score {bound}" for bound in self.score_bounds()]
        return conditions + (["s.evaluated_at >= :since"] if self.evaluated_since is not None else [])

    def score_bounds(self) -> list[str]:
        """What a score has to be, as the ends of conditions."""
        bounds = {">= :min_score": self.min_score, "<= :max_score": self.max_score}
        return [bound for bound, value in bounds.items() if value is not None]

    def of_slots(self) -> list[str]:
        """Conditions for the index by slot."""
        return ["s.slot >= :slot_since"] if self.evaluated_since is not None else []

    def of_points(self) -> list[str]:
        """Conditions for the index by band and points."""
        if self.score_bounds():
            return ["s.quarter BETWEEN :first_quarter AND :last_quarter", "s.band = ANY(:all_bands)"]
        return ["s.band = ANY(:bands)"] if self.bands is not None else []

    @property
    def quarters(self) -> range:
        """What scores may have in the column `quarter`."""
        first = 0.0 if self.min_score is None else self.min_score
        last = 100.0 if self.max_score is None else self.max_score
        return range(quarter_of(first), quarter_of(last) + 1)

    def parameters(self) -> dict[str, Any]:
        """The values of all conditions."""
        since = self.evaluated_since
        return {
            "all_bands": BANDS,
            "bands": BANDS if self.bands is None else list(dict.fromkeys(self.bands)),
            "segments": self.segments,
            "stages": self.stages,
            "owners": self.owners,
            "min_score": self.min_score,
            "max_score": self.max_score,
            "since": since,
            "slot_since": None if since is None else slot_of(since),
            "first_quarter": self.quarters.start,
            "last_quarter": self.quarters.stop - 1,
        }

"""An account as lists return it: its attributes and its stored score."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class AccountRecord:
    """An account's attributes and its stored score."""

    account_id: str
    name: str | None
    segment: str | None
    stage: str | None
    owner: str | None
    seats: int | None
    arr: Decimal | None
    started_on: date | None
    renews_on: date | None
    churned_on: date | None
    parent_id: str | None
    created_at: datetime
    score: float | None
    band: str
    coverage: float
    day: date | None
    evaluated_at: datetime | None


_OF_SCORES = ("score", "band", "coverage", "day", "evaluated_at")

COLUMNS = ", ".join(f"{'s' if name in _OF_SCORES else 'a'}.{name}" for name in AccountRecord.__dataclass_fields__)
"""The fields as SQL, of `accounts a` and `scores s`."""

"""A filter of accounts, as SQL conditions on `accounts a` and `scores s`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from service.storage.accounts.accounts import AccountRecord

BANDS = ("red", "yellow", "green", "unknown")


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFilter:
    """Conditions on the accounts of a list; None matches every account. Of several values one has to match, and none of
    the excluded ones.

    Score bounds are inclusive. `churned` selects the accounts that have left by `today`, or all the others.
    """

    bands: Sequence[str] | None = None
    segments: Sequence[str] | None = None
    stages: Sequence[str] | None = None
    owners: Sequence[str] | None = None
    exclude_segments: Sequence[str] | None = None
    exclude_stages: Sequence[str] | None = None
    exclude_owners: Sequence[str] | None = None
    churned: bool | None = None
    today: date | None = None
    min_score: float | None = None
    max_score: float | None = None
    evaluated_since: datetime | None = None

    def attribute_conditions(self, table: str = "a") -> list[str]:
        """Conditions on the attributes, which both tables have: use `a` for its indexes, `s` for rows already read."""
        columns = {"segment": self.segments, "stage": self.stages, "owner": self.owners}
        # Postgres reads an index in order for one value, but not for an array that happens to hold only one.
        wanted = [
            f"{table}.{name} = (CAST(:{name}s AS text[]))[1]" if len(values) == 1 else f"{table}.{name} = ANY(:{name}s)"
            for name, values in columns.items()
            if values is not None
        ]
        excluded = {"segment": self.exclude_segments, "stage": self.exclude_stages, "owner": self.exclude_owners}
        left_out = [
            f"({table}.{name} IS NULL OR {table}.{name} <> ALL(CAST(:exclude_{name}s AS text[])))"
            for name, values in excluded.items()
            if values is not None
        ]
        return [*wanted, *left_out, *self._churn_condition(table)]

    def _churn_condition(self, table: str) -> list[str]:
        if self.churned is None:
            return []
        # Only `accounts` has the day: every event rewrites the row in `scores`, which should stay small.
        left = f"(SELECT them.churned_on FROM accounts them WHERE them.account_id = {table}.account_id)"  # noqa: S608 - own text
        has_left = f"coalesce({'a.churned_on' if table == 'a' else left} <= CAST(:today AS date), false)"
        return [has_left if self.churned else f"NOT {has_left}"]

    def score_conditions(self) -> list[str]:
        """Conditions on `scores`."""
        conditions = ["s.band = ANY(:bands)"] if self.bands is not None else []
        conditions += [f"s.score {bound}" for bound in self.score_bounds()]
        return conditions + (["s.evaluated_at >= :since"] if self.evaluated_since is not None else [])

    def matches(self, account: AccountRecord) -> bool:
        """True if an account's score and band pass the filter; attributes are not checked."""
        if self.bands is not None and account.band not in self.bands:
            return False
        if account.score is None:
            return not self.score_bounds()
        low = 0.0 if self.min_score is None else self.min_score
        return low <= account.score <= (100.0 if self.max_score is None else self.max_score)

    def score_bounds(self) -> list[str]:
        """The bounds of the score, as the ends of conditions."""
        bounds = {">= :min_score": self.min_score, "<= :max_score": self.max_score}
        return [bound for bound, value in bounds.items() if value is not None]

    def parameters(self) -> dict[str, Any]:
        """The bind parameters of all conditions."""
        return {
            "bands": BANDS if self.bands is None else list(dict.fromkeys(self.bands)),
            "segments": self.segments,
            "stages": self.stages,
            "owners": self.owners,
            "exclude_segments": self.exclude_segments,
            "exclude_stages": self.exclude_stages,
            "exclude_owners": self.exclude_owners,
            "today": self.today,
            "min_score": self.min_score,
            "max_score": self.max_score,
            "since": self.evaluated_since,
        }

"""A filter of accounts, as SQL conditions on `accounts a` and `listed_accounts l`."""

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
    changed_since: datetime | None = None

    def attribute_conditions(self, table: str = "a") -> list[str]:
        """Conditions on attributes, by the indexes of either table."""
        return [*self.word_conditions(table), *self._churn_condition(table)]

    def word_conditions(self, table: str) -> list[str]:
        """Conditions on the attributes that both tables have."""
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
        return [*wanted, *left_out]

    def _churn_condition(self, table: str) -> list[str]:
        if self.churned is None:
            return []
        day = "(SELECT them.churned_on FROM accounts them WHERE them.account_id = l.account_id)"
        has_left = f"{'a.churned_on' if table == 'a' else day} <= CAST(:today AS date)"
        return [has_left if self.churned else f"NOT coalesce({has_left}, false)"]

    def score_conditions(self) -> list[str]:
        """Conditions on score and band."""
        return [*(["l.band = ANY(:bands)"] if self.bands is not None else []), *self.bound_conditions()]

    def bound_conditions(self) -> list[str]:
        """Conditions on the score."""
        bounds = {"l.score >= :min_score": self.min_score, "l.score <= :max_score": self.max_score}
        return [bound for bound, value in bounds.items() if value is not None]

    def change_conditions(self) -> list[str]:
        """Conditions on the time of the last change."""
        return ["l.changed_at >= :since"] if self.changed_since is not None else []

    def matches(self, account: AccountRecord) -> bool:
        """True if what is shown of an account passes the filter."""
        words = (
            (account.band, self.bands, None),
            (account.segment, self.segments, self.exclude_segments),
            (account.stage, self.stages, self.exclude_stages),
            (account.owner, self.owners, self.exclude_owners),
        )
        if any(
            (wanted is not None and word not in wanted) or (excluded is not None and word in excluded)
            for word, wanted, excluded in words
        ):
            return False
        low, high = self.min_score, self.max_score
        if account.score is None:
            return low is None and high is None
        return (low is None or low <= account.score) and (high is None or account.score <= high)

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
            "since": self.changed_since,
        }

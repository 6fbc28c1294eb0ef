"""The orders of account lists, as SQL and as keys that mark where a page ended."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from service.storage.accounts.listing.index_columns import slot_of

PageKey = tuple[Any, ...]
"""The place where a page ended: the value that the list is sorted by, and the account id. By time of evaluation a third
value says whether the first is the time itself, or its slot.
"""

SortColumn = Literal["account_id", "score", "evaluated_at", "slot"]


@dataclass(frozen=True, slots=True)
class SortOrder:
    """An order by a column of `scores`. Accounts without a value come last; equal values are sorted by account id,
    ascending.
    """

    column: SortColumn
    descending: bool

    def clause(self) -> str:
        """The terms after ORDER BY."""
        direction = "DESC" if self.descending else "ASC"
        return f"s.{self.column} {direction} NULLS LAST, s.account_id"

    def reversed_clause(self) -> str:
        """The same terms in reverse order."""
        direction = "ASC" if self.descending else "DESC"
        return f"s.{self.column} {direction} NULLS FIRST, s.account_id DESC"

    def conditions_after(self, after: PageKey | None) -> list[str]:
        """The conditions for accounts that follow `after`, with `:value` and `:id`."""
        if after is None:
            return []
        beyond = "<" if self.descending else ">"
        if self.column == "account_id":
            return [f"s.account_id {beyond} :id"]
        if after[0] is None:
            return [f"s.{self.column} IS NULL AND s.account_id > :id"]
        kind = "float8" if self.column == "score" else "timestamptz"
        value = f"CAST(:value AS {kind})"
        further = f"s.{self.column} {beyond} {value}"
        return [f"({further} OR s.{self.column} = {value} AND s.account_id > :id OR s.{self.column} IS NULL)"]

    def key_of(self, account_id: str, score: float | None, evaluated_at: datetime | None) -> PageKey:
        """The key of an account in this order."""
        if self.column == "account_id":
            return account_id, account_id
        if self.column == "score":
            return score, account_id
        by_slot = self.column == "slot"
        value = slot_of(evaluated_at) if by_slot and evaluated_at is not None else evaluated_at
        return value, account_id, not by_slot

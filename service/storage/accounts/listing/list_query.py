"""SQL for the keys of a list of accounts that follow a given one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from service.storage.accounts.account_filter import AccountFilter

PageKey = tuple[Any, str]
"""The place where a page ended: the value that the list is sorted by, as in `listed_accounts`, and the account id."""

_TYPES = {"account_id": "text", "score": "float8", "changed_at": "timestamptz"}


class Rarity(NamedTuple):
    """Rows to count, and those to fetch if they are few; both as SQL after FROM."""

    counted: str
    rows: str


@dataclass(frozen=True, slots=True)
class ListQuery:
    """The accounts of `wanted` that follow `after`, by a column of `listed_accounts`.

    Statements select the keys of the first `:limit`: `account_id`, `changed_at`, and the column as `value`.
    """

    wanted: AccountFilter
    column: str
    descending: bool
    after: PageKey | None

    def rarities(self) -> Iterator[Rarity]:
        """Conditions that may match so few accounts that all of these are fetched: as far as this order's index can't
        look them up.
        """
        wanted = self.wanted
        conditions = [*wanted.score_conditions(), *wanted.change_conditions()]
        if self._by_accounts:
            attributes = _all(wanted.attribute_conditions("a"))
            yield Rarity(f"accounts a WHERE {attributes}", self._joined(conditions))
        served = {"score": wanted.score_conditions(), "changed_at": wanted.change_conditions()}
        if set(conditions) - set(served.get(self.column, [])):
            listed = f"listed_accounts l WHERE {_all([*wanted.attribute_conditions('l'), *conditions])}"
            yield Rarity(listed, listed)

    def all_sorted(self, rows: str) -> str:
        """Keys out of all `rows` of a rarity."""
        after = self._following("value")
        if self.column == "score" and self.after is not None:
            after = self._last("value") if self.after[0] is None else [f"({_all(after)} OR l.value IS NULL)"]
        # OFFSET 0 makes Postgres plan for all of them, not in the hope that the first few come soon.
        such = f"{self._keys()} FROM {rows} OFFSET 0"
        return f"SELECT * FROM ({such}) AS l WHERE {_all(after)} ORDER BY {self.order('value')} LIMIT :limit"  # noqa: S608 - made of this module's own text

    def in_order(self) -> str:
        """Keys out of an index."""
        wanted = self.wanted
        if self.column == "account_id":
            tables = ["l", "a"] if self._by_accounts else ["l"]
            after = [f"{table}.account_id {self._beyond} CAST(:id AS text)" for table in tables] if self.after else []
            conditions = [*wanted.score_conditions(), *wanted.change_conditions(), *after]
            if self._by_accounts:
                rows = self._joined(conditions)
            else:
                rows = f"listed_accounts l WHERE {_all([*wanted.attribute_conditions('l'), *conditions])}"
            return f"{self._keys()} FROM {rows} ORDER BY {self.order()} LIMIT :limit"
        attributes, changed = wanted.attribute_conditions("l"), wanted.change_conditions()
        if self.column == "changed_at":
            conditions = [*self._start(changed), *wanted.score_conditions(), *attributes]
            where = _all(conditions)
            return f"{self._keys()} FROM listed_accounts l WHERE {where} ORDER BY {self.order()} LIMIT :limit"
        others, bounds = [*changed, *attributes], wanted.bound_conditions()
        parts = []
        if self.after is None or self.after[0] is not None:
            parts.append(self._of_each_band([*(self._start(bounds) or ["l.score IS NOT NULL"]), *others]))
        if not bounds:
            parts.append(self._of_each_band([*self._last(), *others]))
        # Postgres reads the second part after the first, and not at all if that gives enough.
        return f"SELECT * FROM ({' UNION ALL '.join(f'({part})' for part in parts)}) AS l LIMIT :limit"  # noqa: S608 - as above

    def _of_each_band(self, conditions: Sequence[str]) -> str:
        # The index has the bands one after the other.
        of_band = _all(["l.band = each.band", *conditions])
        return f"""
            SELECT l.* FROM unnest(CAST(:bands AS text[])) AS each (band) CROSS JOIN LATERAL (
                {self._keys()} FROM listed_accounts l WHERE {of_band} ORDER BY {self.order()} LIMIT :limit
            ) AS l ORDER BY {self.order("value")} LIMIT :limit"""  # noqa: S608 - as above

    def order(self, name: str = "") -> str:
        """The terms after ORDER BY, of the column or of its `value`."""
        direction = "DESC" if self.descending else "ASC"
        # Read backwards, an index has nulls first: statements over one ask for all of them or none.
        last = " NULLS LAST" if name else ""
        return f"l.{name or self.column} {direction}{last}, l.account_id {direction}"

    def parameters(self) -> dict[str, Any]:
        """The bind parameters of all statements, except `limit`."""
        value, account_id = self.after or (None, "")
        return {**self.wanted.parameters(), "value": value, "id": account_id}

    @property
    def _by_accounts(self) -> bool:
        """True if `accounts` has indexes for this filter."""
        wanted = self.wanted
        return wanted.churned is True or any(
            each is not None for each in (wanted.segments, wanted.stages, wanted.owners)
        )

    def _joined(self, conditions: Sequence[str]) -> str:
        where = _all([*self.wanted.attribute_conditions("a"), *conditions])
        return f"accounts a JOIN listed_accounts l ON l.account_id = a.account_id WHERE {where}"

    @property
    def _beyond(self) -> str:
        return "<" if self.descending else ">"

    def _keys(self) -> str:
        return f"SELECT l.account_id, l.changed_at, l.{self.column} AS value"

    def _following(self, name: str = "") -> list[str]:
        """The conditions for accounts with a value that follow `after`."""
        after = f"(CAST(:value AS {_TYPES[self.column]}), CAST(:id AS text))"
        return [f"(l.{name or self.column}, l.account_id) {self._beyond} {after}"] if self.after else []

    def _start(self, bounds: Sequence[str]) -> list[str]:
        """The conditions for the values within `bounds` that follow `after`.

        Where both say where to begin, only the stricter one: Postgres might look up the other, and read on from there.
        """
        wanted, following = self.wanted, self._following()
        firsts = {"score": wanted.max_score if self.descending else wanted.min_score}
        first = firsts.get(self.column, None if self.descending else wanted.changed_since)
        if self.after is None or first is None:
            return [*bounds, *following]
        value = self.after[0]
        if value > first if self.descending else value < first:
            return list(bounds)
        return [*(bound for bound in bounds if f" {self._beyond}= " not in bound), *following]

    def _last(self, name: str = "") -> list[str]:
        """The conditions for accounts without a score, which come last."""
        without = f"l.{name or self.column} IS NULL"
        if self.after is None or self.after[0] is not None:
            return [without]
        return [without, f"l.account_id {self._beyond} CAST(:id AS text)"]


def _all(conditions: Sequence[str]) -> str:
    return " AND ".join(conditions) or "true"

"""A query for a page of accounts, and two ways to read it: candidates in the list's order, or all matches, sorted."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.storage.accounts.account_filter import AccountFilter
from service.storage.accounts.accounts import RECORD_COLUMNS, AccountRecord
from service.storage.accounts.listing import full_matches, index_columns, index_scans
from service.storage.accounts.listing.sort_order import PageKey, SortOrder


class ScanResult(NamedTuple):
    """The matching accounts of one scan, the number of candidates read, and the key of the last candidate."""

    accounts: list[AccountRecord]
    candidates: int
    last: PageKey


@dataclass(frozen=True, slots=True)
class ListQuery:
    """A query for up to `limit` accounts of `wanted` that follow `after` in `order`."""

    wanted: AccountFilter
    order: SortOrder
    after: PageKey | None
    limit: int

    async def scan(self, connection: AsyncConnection, scan_rows: int) -> ScanResult:
        """Read the next candidates; returns up to `limit` of them that match."""
        statement, parameters = self._candidates()
        conditions = [*self.wanted.attribute_conditions("s"), *self.wanted.score_conditions()]
        scan = f"""
            WITH candidate AS MATERIALIZED ({statement}), s AS MATERIALIZED (
                SELECT s.* FROM candidate s WHERE {" AND ".join(conditions) or "true"}
                ORDER BY {self.order.clause()} LIMIT :limit
            ), last AS (
                SELECT s.{self.order.column} AS value, s.account_id FROM candidate s
                ORDER BY {self.order.reversed_clause()} LIMIT 1
            )
            SELECT (SELECT count(*) FROM candidate), last.value, last.account_id, {RECORD_COLUMNS}
            FROM (SELECT) AS always LEFT JOIN last ON true
            LEFT JOIN (s JOIN accounts a ON a.account_id = s.account_id) ON true ORDER BY {self.order.clause()}
        """  # noqa: S608 - made of this package's own text
        rows = (await connection.execute(text(scan), {**parameters, "scan_rows": scan_rows})).all()
        found = [AccountRecord(*row[3:]) for row in rows if row[3] is not None]
        return ScanResult(found, rows[0][0], (rows[0][1], rows[0][2], False))

    async def fetch_all_and_sort(self, connection: AsyncConnection, matching: str) -> list[AccountRecord]:
        """The page out of all accounts that the SQL `matching` selects, sorted."""
        statement = full_matches.sorted_page(matching, self.wanted, self.order, self.after)
        rows = await connection.execute(text(statement), self.parameters())
        return [AccountRecord(*row) for row in rows]

    def _candidates(self) -> tuple[str, dict[str, Any]]:
        """SQL for candidates, and its parameters except `scan_rows`."""
        order, parameters = self.order, self.parameters()
        if order.column == "score":
            started = parameters["value"] is not None
            statement = index_scans.by_score(
                descending=order.descending,
                started=started,
                bounds=self.wanted.score_bounds(),
                attributes=self.wanted.attribute_conditions("scores"),
            )
            ends = [parameters["value"], self.wanted.min_score, self.wanted.max_score]
            return statement, {
                **parameters,
                "quarters": self._quarters(parameters["value"]),
                "ends": [index_columns.quarter_of(end) for end in ends if end is not None],
            }
        if order.column == "account_id":
            statement = index_scans.by_id(
                descending=order.descending,
                started=self.after is not None,
                attributes=self.wanted.attribute_conditions(),
            )
            return statement, parameters
        since, value = parameters["slot_since"], parameters["value"]
        started = value is not None and (order.descending or since is None or value >= since)
        bounds = ["slot >= :slot_since"] if since is not None and (order.descending or not started) else ["true"]
        if since is not None and not order.descending:
            bounds.append("evaluated_at >= :since")  # most of the first slot may have been evaluated before
        statement = index_scans.by_slot(
            descending=order.descending,
            started=started,
            bound="false" if self._without_value else " AND ".join(bounds),
            attributes=self.wanted.attribute_conditions("scores"),
            never=since is None,
        )
        return statement, parameters

    def _quarters(self, value: float | None) -> list[int | None]:
        """The quarter points to read from `value` on, and a null for accounts without a score."""
        if self._without_value:
            return [None]
        quarters, descending = index_columns.quarters(self.wanted), self.order.descending
        here = None if value is None else index_columns.quarter_of(value)
        left = [each for each in quarters if here is None or (each <= here if descending else each >= here)]
        without: list[int | None] = [] if self.wanted.score_bounds() else [None]
        return [*(reversed(left) if descending else left), *without]

    @property
    def _without_value(self) -> bool:
        """True if the last page ended among the accounts that have no value to sort by, which come last."""
        return self.after is not None and self.after[0] is None

    def parameters(self) -> dict[str, Any]:
        """The bind parameters of all statements, except `scan_rows`."""
        wanted, after = self.wanted, self.after
        if after is not None:
            value = after[0]
        elif self.order.column == "score":
            value = wanted.max_score if self.order.descending else wanted.min_score
        else:
            value = None
        ended_at = "" if after is None else after[1]
        return {
            **index_columns.parameters(wanted),
            "limit": self.limit,
            "value": value,
            "id": ended_at,
            "tail": ended_at if self._without_value else "",
        }

"""Chooses the indexes that a page of accounts is read by.

Candidates are read in the list's order, one scan after another, until enough of them match. Where matches are rare, all
of them are fetched by the most selective index and sorted instead. The planner's estimates of both decide at first, and
the matches found on the way correct them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import ceil, sqrt
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.storage.accounts.account_filter import AccountFilter
from service.storage.accounts.accounts import RECORD_COLUMNS, AccountRecord
from service.storage.accounts.listing import full_matches, index_columns, index_scans
from service.storage.accounts.listing.sort_order import PageKey, SortOrder

FIRST_SCAN_ROWS, FIRST_SCAN_ROWS_BY_TIME = 500, 1_000
"""The fewest candidates to read at first, if not all of them match."""
CANDIDATE_COST = 1.7
"""The cost of reading a candidate, in the planner's units. Measured; a page is correct whatever it costs."""
ENTRY_COST = 0.05
"""The cost of reading an index entry that is not a candidate's."""
EXTRA_ENTRY_COST = 0.03
"""Extra cost per index entry read without a match; the planner underestimates it. Measured."""
CHEAP_FULL_MATCH_COST = 4_000
"""Up to this cost, in the planner's units, all matching accounts are fetched without further estimates."""
LONG_LIST_ROWS = 2 * FIRST_SCAN_ROWS_BY_TIME
"""If this many matches are expected, a list is assumed to have more than `FIRST_SCAN_ROWS_BY_TIME`."""
UNCERTAIN_SCAN_ROWS = 16_000
"""The most candidates to read if the planner can't know which way is cheaper."""
STALE_STATISTICS_ROWS = 5_000
"""Above this many rows, the planner's statistics should have noticed them."""
SCAN_MARGIN = 1.1
SIGNIFICANT_MATCHES = 10
"""The number of matches from which on their share predicts the rest; fewer may be an accident."""


class ScannedPage(NamedTuple):
    """Accounts, and whether the candidates ended with them."""

    accounts: list[AccountRecord]
    ended: bool


class ScanResult(NamedTuple):
    """The matching accounts of one scan, the number of candidates read, and the key of the last candidate."""

    accounts: list[AccountRecord]
    candidates: int
    last: PageKey


class FullMatchPlan(NamedTuple):
    """SQL for all matching accounts, and its cost in the planner's units."""

    cost: float
    statement: str


class PlannerEstimate(NamedTuple):
    """The planner's expectation: the number of matches and of candidates, and the cost of reading one candidate."""

    matching: float
    candidates: float
    cost: float

    @property
    def share(self) -> float:
        """The share of candidates that match."""
        return min(self.matching / self.candidates, 1.0)


@dataclass(frozen=True, slots=True)
class ListQuery:
    """A query for up to `limit` accounts of `wanted` that follow `after` in `order`."""

    wanted: AccountFilter
    order: SortOrder
    after: PageKey | None
    limit: int
    expected_rows: dict[str, float] = field(default_factory=dict, compare=False)
    """The number of rows that the planner expects, by conditions already asked about."""

    async def scan_index(self, connection: AsyncConnection) -> ScannedPage | FullMatchPlan:
        """Read the accounts in order; returns the cheapest plan to fetch all matching accounts instead, if that is
        cheaper.
        """
        scan_rows, most, plan = self._first_scan_rows(is_long=self.after is not None), 0.0, None
        filters_in_index = self._has_filters_in_index
        if self.wanted != AccountFilter() and (scan_rows > self.limit or filters_in_index):
            plan = await self.cheapest_full_match(connection)
            is_stale = await self._statistics_are_stale(connection)
            if plan.cost <= CHEAP_FULL_MATCH_COST and not is_stale:
                return plan
            if is_stale:
                most = UNCERTAIN_SCAN_ROWS
            else:
                estimate = await self._estimate(connection, filters_in_index=filters_in_index)
                most = plan.cost / estimate.cost
                is_long = self.after is not None or estimate.matching > LONG_LIST_ROWS
                scan_rows = max(self._first_scan_rows(is_long=is_long), ceil(SCAN_MARGIN * self.limit / estimate.share))
                if scan_rows > most:
                    return plan
        found: dict[str, AccountRecord] = {}
        scanned, here = 0, self
        while scan_rows:
            result = await here._scan(connection, scan_rows)
            found |= {each.account_id: each for each in result.accounts if each.account_id not in found}
            if len(found) >= self.limit or result.candidates < scan_rows:
                return ScannedPage(list(found.values())[: self.limit], result.candidates < scan_rows)
            scanned += result.candidates
            scan_rows = _next_scan_rows(scanned, len(found), self.limit - len(found), most)
            # Keep the full limit: accounts that have moved meanwhile may turn up a second time.
            here = replace(here, after=result.last)
        return plan or await self.cheapest_full_match(connection)

    async def fetch_all_and_sort(self, connection: AsyncConnection, plan: FullMatchPlan) -> list[AccountRecord]:
        """The same accounts, by fetching all that match and sorting them."""
        statement = full_matches.sorted_page(plan.statement, self.wanted, self.order, self.after)
        rows = await connection.execute(text(statement), self._parameters())
        return [AccountRecord(*row) for row in rows]

    async def cheapest_full_match(self, connection: AsyncConnection) -> FullMatchPlan:
        """The cheapest plan to fetch all matching accounts, by the planner's estimate. If its statistics are wrong, a
        page takes longer.
        """
        found = []
        for statement, through in full_matches.statements(self.wanted):
            cost = float((await self._plan(connection, statement))["Total Cost"])
            if through:
                cost += EXTRA_ENTRY_COST * min(
                    [await self._expected_rows(connection, conditions) for conditions in through]
                )
            found.append(FullMatchPlan(cost, statement))
        return min(found)

    async def _estimate(self, connection: AsyncConnection, *, filters_in_index: bool) -> PlannerEstimate:
        """Estimate the scan. Uses conditions that don't overlap, and scores themselves, which are finer than quarter
        points.
        """
        attributes, bands, slots = (
            self.wanted.attribute_conditions("s"),
            index_columns.band_conditions(self.wanted),
            index_columns.slot_conditions(self.wanted),
        )
        scores = [f"s.score {bound}" for bound in self.wanted.score_bounds()] or bands
        known, entry_conditions = {"score": (scores, bands), "account_id": ([], [])}.get(
            self.order.column, (slots, slots)
        )
        candidates = await self._expected_rows(connection, [*attributes, *known])
        matching = await self._expected_rows(connection, [*attributes, *scores, *slots])
        entries = (
            self._index_passes * await self._expected_rows(connection, entry_conditions)
            if filters_in_index
            else candidates
        )
        return PlannerEstimate(matching, candidates, CANDIDATE_COST + ENTRY_COST * entries / candidates)

    async def _expected_rows(self, connection: AsyncConnection, conditions: Sequence[str]) -> float:
        within = " AND ".join(conditions) or "true"
        if within not in self.expected_rows:
            plan = await self._plan(connection, f"SELECT FROM scores s WHERE {within}")
            self.expected_rows[within] = max(float(plan["Plan Rows"]), 1.0)
        return self.expected_rows[within]

    async def _plan(self, connection: AsyncConnection, statement: str) -> dict[str, Any]:
        plan = await connection.execute(text(f"EXPLAIN (FORMAT JSON) {statement}"), self._parameters())
        found: dict[str, Any] = plan.scalar_one()[0]["Plan"]
        return found

    async def _statistics_are_stale(self, connection: AsyncConnection) -> bool:
        """True if many accounts were evaluated since `evaluated_since`, as all are every night, and the planner doesn't
        know it.
        """
        slots = index_columns.slot_conditions(self.wanted)
        if not slots or await self._expected_rows(connection, slots) > STALE_STATISTICS_ROWS:
            return False
        recent = f"SELECT FROM scores s WHERE {' AND '.join(slots)} LIMIT :most"
        parameters = {**index_columns.parameters(self.wanted), "most": STALE_STATISTICS_ROWS + 1}
        counted = await connection.execute(text(f"SELECT count(*) FROM ({recent}) AS recent"), parameters)  # noqa: S608 - own text
        return int(counted.scalar_one()) > STALE_STATISTICS_ROWS

    @property
    def _index_passes(self) -> int:
        """The number of times one scan reads the index: for its rows, and before that, for some orders, to find
        where it ends.
        """
        return 2 if self.order.column == "score" or (self.order.column == "slot" and self.order.descending) else 1

    @property
    def _has_filters_in_index(self) -> bool:
        """True if the attributes, which come last in an index, are checked by reading entries of other accounts too."""
        return bool(self.wanted.attribute_conditions()) and self.order.column != "account_id"

    def _first_scan_rows(self, *, is_long: bool) -> int:
        """The number of candidates to read first: just the limit if the index knows all conditions, so that every
        candidate matches.

        By time of evaluation it is higher, unless the list is known to be long, to find out whether it can be sorted
        whole.
        """
        wanted, column = self.wanted, self.order.column
        if column == "slot" and not is_long:
            return FIRST_SCAN_ROWS_BY_TIME + 3 * self.limit
        known = wanted.evaluated_since is None if column == "score" else not wanted.score_conditions()
        return self.limit if known else FIRST_SCAN_ROWS + self.limit

    async def _scan(self, connection: AsyncConnection, scan_rows: int) -> ScanResult:
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

    def _candidates(self) -> tuple[str, dict[str, Any]]:
        """SQL for candidates, and its parameters except `scan_rows`."""
        order, parameters = self.order, self._parameters()
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

    def _parameters(self) -> dict[str, Any]:
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


def _next_scan_rows(scanned: int, found: int, missing: int, most: float) -> int:
    """The number of further candidates to read for the missing accounts, from the share of matches so far; 0 if even
    with luck that exceeds `most`.
    """
    with_luck = missing * scanned / (found + sqrt(found) + 1)
    expected = ceil(SCAN_MARGIN * missing * scanned / max(found, 1))
    if with_luck > most:
        return 0
    return expected if found >= SIGNIFICANT_MATCHES else max(min(expected, 5 * scanned), 2 * scanned)

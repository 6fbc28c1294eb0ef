"""Chooses the indexes that a page of accounts is read by.

Candidates are read in the list's order, one scan after another, until enough of them match. Where matches are rare, all
of them are fetched by the most selective index and sorted instead. The planner's estimates of both decide at first, and
the matches found on the way correct them.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import ceil, sqrt
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.storage.accounts.account_filter import AccountFilter
from service.storage.accounts.accounts import AccountRecord
from service.storage.accounts.listing import full_matches, index_columns
from service.storage.accounts.listing.list_query import ListQuery

FIRST_SCAN_ROWS, FIRST_SCAN_ROWS_BY_TIME = 500, 1_000
"""The fewest candidates to read at first, if not all of them match."""
CANDIDATE_COST = 1.7
"""The cost of reading a candidate, in the planner's units. Measured; a page is correct whatever it costs."""
ENTRY_COST = 0.1
"""The cost of reading an index entry that is not a candidate's; most orders read each twice."""
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


class FullMatchPlan(NamedTuple):
    """SQL for all matching accounts, and its cost in the planner's units."""

    cost: float
    statement: str


class ScanPlan(NamedTuple):
    """The number of candidates to read first, the most to read after them, and what to do if that is not enough."""

    first_rows: int
    most_rows: float
    otherwise: FullMatchPlan | None


class PlannerEstimate(NamedTuple):
    """The planner's expectation: the number of matches and of candidates, and the cost of reading one candidate."""

    matching: float
    candidates: float
    cost: float

    @property
    def share(self) -> float:
        """The share of candidates that match."""
        return min(self.matching / self.candidates, 1.0)


class Planner:
    """Plans one query, on the connection that reads it."""

    def __init__(self, connection: AsyncConnection, query: ListQuery) -> None:
        """Nothing is read before it is needed."""
        self._connection = connection
        self._query = query
        self._wanted, self._order, self._after, self._limit = query.wanted, query.order, query.after, query.limit
        self._expected: dict[str, float] = {}
        """The rows that Postgres expects, by conditions it was asked about."""

    async def scan_index(self) -> ScannedPage | FullMatchPlan:
        """Read the accounts in order; returns the cheapest plan to fetch all matching accounts instead, if that is
        cheaper.
        """
        plan = await self._choose()
        if isinstance(plan, FullMatchPlan):
            return plan
        found: dict[str, AccountRecord] = {}
        scanned, scan_rows, here = 0, plan.first_rows, self._query
        while scan_rows:
            result = await here.scan(self._connection, scan_rows)
            found |= {each.account_id: each for each in result.accounts if each.account_id not in found}
            if len(found) >= self._limit or result.candidates < scan_rows:
                return ScannedPage(list(found.values())[: self._limit], result.candidates < scan_rows)
            scanned += result.candidates
            scan_rows = _next_scan_rows(scanned, len(found), self._limit - len(found), plan.most_rows)
            # Keep the full limit: accounts that have moved meanwhile may turn up a second time.
            here = replace(here, after=result.last)
        return plan.otherwise or await self.cheapest_full_match()

    async def _choose(self) -> ScanPlan | FullMatchPlan:
        first_rows = self._first_scan_rows(is_long=self._after is not None)
        if self._wanted == AccountFilter() or (first_rows == self._limit and not self._has_filters_in_index):
            return ScanPlan(first_rows, 0.0, None)
        plan = await self.cheapest_full_match()
        if await self._statistics_are_stale():
            return ScanPlan(first_rows, UNCERTAIN_SCAN_ROWS, plan)
        if plan.cost <= CHEAP_FULL_MATCH_COST:
            return plan
        estimate = await self._estimate()
        most_rows = plan.cost / estimate.cost
        is_long = self._after is not None or estimate.matching > LONG_LIST_ROWS
        expected = ceil(SCAN_MARGIN * self._limit / estimate.share)
        first_rows = max(self._first_scan_rows(is_long=is_long), expected)
        return plan if first_rows > most_rows else ScanPlan(first_rows, most_rows, plan)

    async def cheapest_full_match(self) -> FullMatchPlan:
        """The cheapest plan to fetch all matching accounts, by the planner's estimate. If its statistics are wrong, a
        page takes longer.
        """
        found = []
        for statement, through in full_matches.statements(self._wanted):
            cost = float((await self._plan(statement))["Total Cost"])
            if through:
                cost += EXTRA_ENTRY_COST * min([await self._expected_rows(conditions) for conditions in through])
            found.append(FullMatchPlan(cost, statement))
        return min(found)

    async def _estimate(self) -> PlannerEstimate:
        """Estimate the scan. Uses conditions that don't overlap, and scores themselves, which are finer than quarter
        points.
        """
        attributes, bands, slots = (
            self._wanted.attribute_conditions("s"),
            index_columns.band_conditions(self._wanted),
            index_columns.slot_conditions(self._wanted),
        )
        scores = [f"s.score {bound}" for bound in self._wanted.score_bounds()] or bands
        known, entry_conditions = {"score": (scores, bands), "account_id": ([], [])}.get(
            self._order.column, (slots, slots)
        )
        candidates = await self._expected_rows([*attributes, *known])
        matching = await self._expected_rows([*attributes, *scores, *slots])
        entries = candidates
        if self._has_filters_in_index:
            entries = await self._expected_rows(entry_conditions)
        return PlannerEstimate(matching, candidates, CANDIDATE_COST + ENTRY_COST * entries / candidates)

    async def _expected_rows(self, conditions: Sequence[str]) -> float:
        within = " AND ".join(conditions) or "true"
        if within not in self._expected:
            plan = await self._plan(f"SELECT FROM scores s WHERE {within}")
            self._expected[within] = max(float(plan["Plan Rows"]), 1.0)
        return self._expected[within]

    async def _plan(self, statement: str) -> dict[str, Any]:
        plan = await self._connection.execute(text(f"EXPLAIN (FORMAT JSON) {statement}"), self._query.parameters())
        found: dict[str, Any] = plan.scalar_one()[0]["Plan"]
        return found

    async def _statistics_are_stale(self) -> bool:
        """True if many accounts were evaluated since `evaluated_since`, as all are every night, and the planner doesn't
        know it.
        """
        slots = index_columns.slot_conditions(self._wanted)
        if not slots or await self._expected_rows(slots) > STALE_STATISTICS_ROWS:
            return False
        recent = f"SELECT FROM scores s WHERE {' AND '.join(slots)} LIMIT :most"
        parameters = {**index_columns.parameters(self._wanted), "most": STALE_STATISTICS_ROWS + 1}
        counted = await self._connection.execute(text(f"SELECT count(*) FROM ({recent}) AS recent"), parameters)  # noqa: S608 - own text
        return int(counted.scalar_one()) > STALE_STATISTICS_ROWS

    @property
    def _has_filters_in_index(self) -> bool:
        """True if the attributes, which come last in an index, are checked by reading entries of other accounts too."""
        return bool(self._wanted.attribute_conditions()) and self._order.column != "account_id"

    def _first_scan_rows(self, *, is_long: bool) -> int:
        """The number of candidates to read first: just the limit if the index knows all conditions, so that every
        candidate matches.

        By time of evaluation it is higher, unless the list is known to be long, to find out whether it can be sorted
        whole.
        """
        wanted, column = self._wanted, self._order.column
        if column == "slot" and not is_long:
            return FIRST_SCAN_ROWS_BY_TIME + 3 * self._limit
        known = wanted.evaluated_since is None if column == "score" else not wanted.score_conditions()
        return self._limit if known else FIRST_SCAN_ROWS + self._limit


def _next_scan_rows(scanned: int, found: int, missing: int, most: float) -> int:
    """The number of further candidates to read for the missing accounts, from the share of matches so far; 0 if even
    with luck that exceeds `most`.
    """
    with_luck = missing * scanned / (found + sqrt(found) + 1)
    expected = ceil(SCAN_MARGIN * missing * scanned / max(found, 1))
    if with_luck > most:
        return 0
    return expected if found >= SIGNIFICANT_MATCHES else max(min(expected, 5 * scanned), 2 * scanned)

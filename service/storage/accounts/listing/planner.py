"""A page of accounts, by the indexes that lead there.

Candidates are looked at in the list's order, stretch by stretch, until enough of them match. Where matches are rare,
all of them are fetched by whatever index narrows them down best, and sorted. The planner is asked beforehand what it
expects of both, and what turns up on the way has the last word.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from math import ceil, sqrt
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.storage.accounts.listing import full_matches as matches
from service.storage.accounts.listing import index_scans as candidates
from service.storage.accounts.listing.filters import AccountFilter
from service.storage.accounts.listing.row import COLUMNS, AccountRecord
from service.storage.accounts.listing.sort_order import PageKey, SortOrder, quarter_of

FIRST_SCAN_ROWS, FIRST_SCAN_ROWS_BY_TIME = 500, 1_000
"""Candidates to look at to begin with, at least, where not all of them match."""
CANDIDATE_COST = 1.7
"""What it costs to look at a candidate, in the planner's units. Measured; a page is right whatever it costs."""
ENTRY_COST = 0.05
"""The same for an entry of an index that isn't a candidate's."""
EXTRA_ENTRY_COST = 0.03
"""By how much the planner has too good an opinion of an entry that is gone through in vain. Measured."""
CHEAP_FULL_MATCH_COST = 4_000
"""For so much, in the planner's units, all that match are fetched without further ado."""
LONG_LIST_ROWS = 2 * FIRST_SCAN_ROWS_BY_TIME
"""Where so many are expected to match, a list is taken to have more than `FIRST_STRETCH_BY_TIME`."""
UNCERTAIN_SCAN_ROWS = 16_000
"""Candidates that are looked at where the planner doesn't know what is cheaper."""
STALE_STATISTICS_ROWS = 5_000
"""So many that the planner has to know of them."""
SCAN_MARGIN = 1.1
SIGNIFICANT_MATCHES = 10
"""So many matches say how many there will be further on; fewer may be an accident."""
MAX_MERGED_SLOTS = 6
"""Slots that are merged by account id. Where accounts were evaluated in more of them, many match."""

_SLOTS = text("""
    WITH RECURSIVE hop (slot) AS (
        (SELECT slot FROM scores WHERE slot >= :slot_since ORDER BY slot LIMIT 1)
        UNION ALL
        SELECT (SELECT s.slot FROM scores s WHERE s.slot > hop.slot ORDER BY s.slot LIMIT 1)
        FROM hop WHERE hop.slot IS NOT NULL
    )
    SELECT slot FROM hop WHERE slot IS NOT NULL LIMIT :most
""")


class ScannedPage(NamedTuple):
    """Accounts, and whether the candidates came to an end with them."""

    accounts: list[AccountRecord]
    ended: bool


class ScanResult(NamedTuple):
    """Accounts of a stretch, how many candidates there were, and the key of the last of these."""

    accounts: list[AccountRecord]
    candidates: int
    last: PageKey


class FullMatchPlan(NamedTuple):
    """SQL for all that match, and what it costs in the planner's units."""

    cost: float
    statement: str


class PlannerEstimate(NamedTuple):
    """What the planner expects: how many match, of how many candidates, and what it costs to look at one of these."""

    matching: float
    candidates: float
    cost: float

    @property
    def share(self) -> float:
        """The share of candidates that match."""
        return min(self.matching / self.candidates, 1.0)


@dataclass(frozen=True, slots=True)
class ListQuery:
    """What is wanted: up to `limit` accounts of `wanted` that follow `after` in `order`."""

    wanted: AccountFilter
    order: SortOrder
    after: PageKey | None
    limit: int
    expected: dict[str, float] = field(default_factory=dict, compare=False)
    """How many rows the planner expects, by conditions that it was asked about."""

    async def along(self, connection: AsyncConnection) -> ScannedPage | FullMatchPlan:
        """The accounts; where it is cheaper to fetch all that match at once, the cheapest way to do that."""
        stretch, most, way = self._fewest(is_long=self.after is not None), 0.0, None
        slots = await self._few_slots(connection)
        among_others = self._is_among_others(slots)
        if self.wanted != AccountFilter() and (stretch > self.limit or among_others):
            way = await self.cheapest(connection)
            is_news = await self._is_news(connection)
            if way.cost <= CHEAP_FULL_MATCH_COST and not is_news:
                return way
            outlook = await self._outlook(connection, slots, among_others=among_others)
            most = max(way.cost / outlook.cost, UNCERTAIN_SCAN_ROWS if is_news else 0.0)
            is_long = self.after is not None or outlook.matching > LONG_LIST_ROWS
            stretch = max(self._fewest(is_long=is_long), ceil(SCAN_MARGIN * self.limit / outlook.share))
            if stretch > most:
                return way
        found: dict[str, AccountRecord] = {}
        looked_at, here = 0, self
        while stretch:
            stop = await here._look(connection, stretch, slots)
            found |= {each.account_id: each for each in stop.accounts if each.account_id not in found}
            if len(found) >= self.limit or stop.candidates < stretch:
                return ScannedPage(list(found.values())[: self.limit], stop.candidates < stretch)
            looked_at += stop.candidates
            stretch = _next_scan_rows(looked_at, len(found), self.limit - len(found), most)
            # Not with a lower limit: some that are found there may be known already, as they have moved meanwhile.
            here = replace(here, after=stop.last)
        return way or await self.cheapest(connection)

    async def at_once(self, connection: AsyncConnection, way: FullMatchPlan) -> list[AccountRecord]:
        """The same accounts by fetching all that match and sorting them."""
        statement = matches.sorted_page(way.statement, self.wanted, self.order, self.after)
        rows = await connection.execute(text(statement), self._parameters())
        return [AccountRecord(*row) for row in rows]

    async def cheapest(self, connection: AsyncConnection) -> FullMatchPlan:
        """How to fetch all that match, as the planner sees it. Where its statistics are wrong, a page takes longer."""
        found = []
        for statement, through in matches.statements(self.wanted):
            cost = float((await self._plan(connection, statement))["Total Cost"])
            if through:
                cost += EXTRA_ENTRY_COST * min([await self._expected(connection, conditions) for conditions in through])
            found.append(FullMatchPlan(cost, statement))
        return min(found)

    async def _outlook(
        self, connection: AsyncConnection, merged: Sequence[datetime] | None, *, among_others: bool
    ) -> PlannerEstimate:
        """By conditions of which no two say the same, and by scores themselves, which are finer than quarter points."""
        attributes, points, slots = self.wanted.of_attributes("s"), self.wanted.of_points(), self.wanted.of_slots()
        scores = [f"s.score {bound}" for bound in self.wanted.score_bounds()] or points
        of_ids = slots if merged is not None else []
        known, of_entries = {"score": (scores, points), "account_id": (of_ids, of_ids)}.get(
            self.order.column, (slots, slots)
        )
        candidates = await self._expected(connection, [*attributes, *known])
        matching = await self._expected(connection, [*attributes, *scores, *slots])
        entries = self._passes * await self._expected(connection, of_entries) if among_others else candidates
        return PlannerEstimate(matching, candidates, CANDIDATE_COST + ENTRY_COST * entries / candidates)

    async def _expected(self, connection: AsyncConnection, conditions: Sequence[str]) -> float:
        within = " AND ".join(conditions) or "true"
        if within not in self.expected:
            plan = await self._plan(connection, f"SELECT FROM scores s WHERE {within}")
            self.expected[within] = max(float(plan["Plan Rows"]), 1.0)
        return self.expected[within]

    async def _plan(self, connection: AsyncConnection, statement: str) -> dict[str, Any]:
        plan = await connection.execute(text(f"EXPLAIN (FORMAT JSON) {statement}"), self._parameters())
        found: dict[str, Any] = plan.scalar_one()[0]["Plan"]
        return found

    async def _is_news(self, connection: AsyncConnection) -> bool:
        """Whether many were evaluated since `evaluated_since`, as all are every night, and the planner doesn't know."""
        slots = self.wanted.of_slots()
        if not slots or await self._expected(connection, slots) > STALE_STATISTICS_ROWS:
            return False
        such = f"SELECT FROM scores s WHERE {' AND '.join(slots)} LIMIT :most"
        parameters = {**self.wanted.parameters(), "most": STALE_STATISTICS_ROWS + 1}
        counted = await connection.execute(text(f"SELECT count(*) FROM ({such}) AS such"), parameters)  # noqa: S608 - own text
        return int(counted.scalar_one()) > STALE_STATISTICS_ROWS

    @property
    def _passes(self) -> int:
        """How often the index is gone through for a stretch: for its rows, and before that to see where it ends."""
        return 2 if self.order.column == "score" or (self.order.column == "slot" and self.order.descending) else 1

    def _is_among_others(self, slots: Sequence[datetime] | None) -> bool:
        """Whether candidates are found among the entries of others, by attributes that an index has last."""
        return bool(self.wanted.of_attributes()) and (self.order.column != "account_id" or slots is not None)

    def _fewest(self, *, is_long: bool) -> int:
        """The limit where all candidates match, because the index they come from knows all that is asked for.

        By time it takes more, unless the list is known to be long, to see whether it can be sorted as a whole.
        """
        wanted, column = self.wanted, self.order.column
        if column == "slot" and not is_long:
            return FIRST_SCAN_ROWS_BY_TIME + 3 * self.limit
        known = wanted.evaluated_since is None if column == "score" else not wanted.of_scores()
        return self.limit if known else FIRST_SCAN_ROWS + self.limit

    async def _look(self, connection: AsyncConnection, stretch: int, slots: Sequence[datetime] | None) -> ScanResult:
        """Those of the next candidates that match, up to `limit`."""
        statement, parameters = self._candidates(slots)
        conditions = [*self.wanted.of_attributes("s"), *self.wanted.of_scores()]
        looked = f"""
            WITH candidate AS MATERIALIZED ({statement}), s AS MATERIALIZED (
                SELECT s.* FROM candidate s WHERE {" AND ".join(conditions) or "true"}
                ORDER BY {self.order.clause()} LIMIT :limit
            ), last AS (
                SELECT s.{self.order.column} AS value, s.account_id FROM candidate s
                ORDER BY {self.order.last_first()} LIMIT 1
            )
            SELECT (SELECT count(*) FROM candidate), last.value, last.account_id, {COLUMNS}
            FROM (SELECT) AS always LEFT JOIN last ON true
            LEFT JOIN (s JOIN accounts a ON a.account_id = s.account_id) ON true ORDER BY {self.order.clause()}
        """  # noqa: S608 - made of this package's own text
        rows = (await connection.execute(text(looked), {**parameters, "stretch": stretch})).all()
        found = [AccountRecord(*row[3:]) for row in rows if row[3] is not None]
        return ScanResult(found, rows[0][0], (rows[0][1], rows[0][2], False))

    def _candidates(self, slots: Sequence[datetime] | None) -> tuple[str, dict[str, Any]]:
        """SQL for candidates, and its parameters less the stretch. `slots` are those to be merged, if they are few."""
        order, parameters = self.order, self._parameters()
        if order.column == "score":
            started = parameters["value"] is not None
            statement = candidates.by_score(
                descending=order.descending,
                started=started,
                bounds=self.wanted.score_bounds(),
                attributes=self.wanted.of_attributes("scores"),
            )
            ends = [parameters["value"], self.wanted.min_score, self.wanted.max_score]
            return statement, {
                **parameters,
                "quarters": self._quarters(parameters["value"]),
                "ends": [quarter_of(end) for end in ends if end is not None],
            }
        if order.column == "account_id":
            named = {f"slot_{number}": slot for number, slot in enumerate(slots or [])}
            statement = candidates.by_id(
                descending=order.descending,
                started=self.after is not None,
                slots=None if slots is None else list(named),
                attributes=self.wanted.of_attributes("a" if slots is None else "scores"),
            )
            return statement, {**parameters, **named}
        since, value = parameters["slot_since"], parameters["value"]
        started = value is not None and (order.descending or since is None or value >= since)
        bounds = ["slot >= :slot_since"] if since is not None and (order.descending or not started) else ["true"]
        if since is not None and not order.descending:
            bounds.append("evaluated_at >= :since")  # most of the first slot may have been evaluated before
        statement = candidates.by_slot(
            descending=order.descending,
            started=started,
            bound="false" if self._without_value else " AND ".join(bounds),
            attributes=self.wanted.of_attributes("scores"),
            never=since is None,
        )
        return statement, parameters

    def _quarters(self, value: float | None) -> list[int | None]:
        """The quarter points to go through from `value` on, and a null for accounts without a score."""
        if self._without_value:
            return [None]
        quarters, descending = self.wanted.quarters, self.order.descending
        here = None if value is None else quarter_of(value)
        left = [each for each in quarters if here is None or (each <= here if descending else each >= here)]
        without: list[int | None] = [] if self.wanted.score_bounds() else [None]
        return [*(reversed(left) if descending else left), *without]

    async def _few_slots(self, connection: AsyncConnection) -> Sequence[datetime] | None:
        """For lists by account id, the slots in which accounts were evaluated since then; None if they are more than
        can be merged.
        """
        if self.order.column != "account_id" or self.wanted.evaluated_since is None:
            return None
        parameters = {"slot_since": self.wanted.parameters()["slot_since"], "most": MAX_MERGED_SLOTS + 1}
        slots = list((await connection.execute(_SLOTS, parameters)).scalars())
        return slots if len(slots) <= MAX_MERGED_SLOTS else None

    @property
    def _without_value(self) -> bool:
        """Whether the last page ended among the accounts that have no value to be sorted by, which come last."""
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
            **wanted.parameters(),
            "limit": self.limit,
            "value": value,
            "id": ended_at,
            "tail": ended_at if self._without_value else "",
        }


def _next_scan_rows(looked_at: int, found: int, missing: int, most: float) -> int:
    """How many candidates more will have the accounts that are missing, by what those so far had; 0 if even with luck
    it takes more than `most`.
    """
    with_luck = missing * looked_at / (found + sqrt(found) + 1)
    expected = ceil(SCAN_MARGIN * missing * looked_at / max(found, 1))
    if with_luck > most:
        return 0
    return expected if found >= SIGNIFICANT_MATCHES else max(min(expected, 5 * looked_at), 2 * looked_at)

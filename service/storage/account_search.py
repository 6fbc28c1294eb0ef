"""A page of accounts, by the indexes that lead there.

Candidates are looked at in the list's order, until enough of them match. Where matches turn out to be rare, all of them
are fetched by whatever index narrows them down best, and sorted. So what a page costs is bounded by how often the
filters match, or by how many accounts the rarest of them has, whichever is less.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil, floor
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.storage import account_candidates as candidates
from service.storage.account_filters import Filter
from service.storage.account_orders import Key, Order
from service.storage.account_rows import COLUMNS, Account

FEW = 5_000
"""So many accounts that one of the conditions leaves are fetched and sorted without further ado."""
FIRST_STRETCH = 500
"""Candidates to look at while nothing is known of how many of them match; in lists by time some more."""
FIRST_STRETCH_BY_TIME = 2_000
LONGEST_STRETCH = 12_000
"""Where more would have to be looked at, matches count as rare."""
MARGIN = 1.25
TELLING = 10
"""So many matches say how many there will be further on; fewer may be an accident."""
MOST_SLOTS = 6
"""Slots that are merged by account id. Where accounts were evaluated in more of them, many match."""

_S = ", ".join(f"s.{name}" for name in candidates.COLUMNS.split(", "))

_SLOTS = text("""
    WITH RECURSIVE hop (slot) AS (
        (SELECT slot FROM scores WHERE slot >= :slot_since ORDER BY slot LIMIT 1)
        UNION ALL
        SELECT (SELECT s.slot FROM scores s WHERE s.slot > hop.slot ORDER BY s.slot LIMIT 1)
        FROM hop WHERE hop.slot IS NOT NULL
    )
    SELECT slot FROM hop WHERE slot IS NOT NULL LIMIT :most
""")


class Found(NamedTuple):
    """Accounts, and whether the candidates came to an end with them."""

    accounts: list[Account]
    ended: bool


@dataclass(frozen=True, slots=True)
class Search:
    """What is wanted: up to `limit` accounts of `wanted` that follow `after` in `order`."""

    wanted: Filter
    order: Order
    after: Key | None
    limit: int

    async def along(self, connection: AsyncConnection) -> Found | None:
        """The accounts; None where matches are rare."""
        longest = await self._longest_stretch(connection)
        if longest <= FEW:
            return None
        statement, parameters = await self._candidates(connection)
        stretch = self._first_stretch
        while stretch <= longest:
            found, walked = await self._look(connection, statement, parameters | {"stretch": stretch})
            if len(found) == self.limit or walked < stretch:
                return Found(found, walked < stretch)
            if len(found) < TELLING and self._indexes_meet:
                return None  # the others are found faster by asking both indexes
            needed = ceil(MARGIN * stretch * self.limit / max(len(found), 1))
            stretch = max(needed if len(found) >= TELLING else min(needed, 5 * stretch), 2 * stretch)
        return None

    async def at_once(self, connection: AsyncConnection) -> list[Account]:
        """The same accounts by fetching all that match and sorting them."""
        exactly = [*self.wanted.of_scores(), *self.order.behind(self.after)]
        statement = f"""
            WITH {self._matching()}
            SELECT {COLUMNS} FROM (
                SELECT * FROM candidate s WHERE {" AND ".join(exactly) or "true"}
                ORDER BY {self.order.clause()} LIMIT :limit
            ) AS s JOIN accounts a ON a.account_id = s.account_id ORDER BY {self.order.clause()}
        """  # noqa: S608 - made of this package's own text
        rows = await connection.execute(text(statement), self._parameters())
        return [Account(*row) for row in rows]

    @property
    def _indexes_meet(self) -> bool:
        """Whether there are conditions for indexes of both tables, and narrower ones than bands."""
        wanted = self.wanted
        narrow = bool(wanted.score_bounds()) or wanted.evaluated_since is not None
        return narrow and bool(wanted.of_attributes())

    def _matching(self) -> str:
        """SQL that names `candidate` what matches by all that indexes know."""
        attributes, points, slots = self.wanted.of_attributes(), self.wanted.of_points(), self.wanted.of_slots()
        joined = "scores s JOIN accounts a ON a.account_id = s.account_id"
        # Materialized, so that it is planned for all rows, not in the hope that the first few come soon. What follows
        # from other conditions stays outside: to the planner it would look as if that left only some of the rest.
        if not self._indexes_meet:
            within = " AND ".join([*attributes, *points, *slots]) or "true"
            return f"candidate AS MATERIALIZED (SELECT {_S} FROM {joined} WHERE {within})"  # noqa: S608 - own text
        # Each condition leaves many, both leave few: they meet in the indexes, and rows are fetched of the few alone.
        first, later = (points, slots) if self.wanted.score_bounds() else (slots, points)
        within, rest = " AND ".join([*attributes, *first]), " AND ".join(later) or "true"
        return f"""
            such AS MATERIALIZED (SELECT s.account_id FROM {joined} WHERE {within}),
            candidate AS MATERIALIZED (
                SELECT {_S} FROM such JOIN scores s ON s.account_id = such.account_id WHERE {rest}
            )
        """  # noqa: S608 - own text

    async def _longest_stretch(self, connection: AsyncConnection) -> int:
        """No more candidates than an index has accounts that may match: these could be fetched as well."""
        longest = LONGEST_STRETCH
        for table, conditions, most in (
            ("accounts a", self.wanted.of_attributes(), LONGEST_STRETCH),
            ("scores s", self.wanted.of_slots(), FEW + 1),
            ("scores s", self.wanted.of_points(), FEW + 1),
        ):
            if conditions and longest > FEW:
                counted = await self._count(connection, table, conditions, most)
                longest = min(longest, LONGEST_STRETCH if FEW < counted == most else counted)
        return longest

    async def _count(self, connection: AsyncConnection, table: str, conditions: Sequence[str], most: int) -> int:
        such = f"SELECT FROM {table} WHERE {' AND '.join(conditions)} LIMIT :most"
        parameters = {**self.wanted.parameters(), "most": most}
        return int((await connection.execute(text(f"SELECT count(*) FROM ({such}) AS such"), parameters)).scalar_one())  # noqa: S608 - own text

    @property
    def _first_stretch(self) -> int:
        """The limit where all candidates match, because the index they come from knows all that is asked for."""
        wanted, column = self.wanted, self.order.column
        if column == "slot":
            return FIRST_STRETCH_BY_TIME + 3 * self.limit
        known = not wanted.of_scores() if column == "account_id" else not wanted.of_attributes()
        return self.limit if known and wanted.evaluated_since is None else FIRST_STRETCH + 3 * self.limit

    async def _look(
        self, connection: AsyncConnection, statement: str, parameters: dict[str, Any]
    ) -> tuple[list[Account], int]:
        """Those of the next candidates that match, up to `limit`, and how many candidates there were."""
        attributes = self.wanted.of_attributes()
        join = f"JOIN accounts a ON {' AND '.join(['a.account_id = s.account_id', *attributes])}" if attributes else ""
        looked = f"""
            WITH candidate AS MATERIALIZED ({statement}), s AS MATERIALIZED (
                SELECT s.* FROM candidate s {join}
                WHERE {" AND ".join(self.wanted.of_scores()) or "true"} ORDER BY {self.order.clause()} LIMIT :limit
            )
            SELECT walked.candidates, {COLUMNS} FROM (SELECT count(*) AS candidates FROM candidate) AS walked
            LEFT JOIN (s JOIN accounts a ON a.account_id = s.account_id) ON true ORDER BY {self.order.clause()}
        """  # noqa: S608 - made of this package's own text
        rows = (await connection.execute(text(looked), parameters)).all()
        return [Account(*row[1:]) for row in rows if row.account_id is not None], rows[0].candidates

    async def _candidates(self, connection: AsyncConnection) -> tuple[str, dict[str, Any]]:
        """SQL for candidates, and its parameters less the stretch."""
        order, parameters = self.order, self._parameters()
        if order.column == "score":
            started = parameters["value"] is not None
            statement = candidates.by_score(
                descending=order.descending, started=started, bounds=self.wanted.score_bounds()
            )
            return statement, {**parameters, "points": self._points(parameters["value"])}
        if order.column == "account_id":
            slots = await self._few_slots(connection) if self.wanted.evaluated_since is not None else None
            named = {f"slot_{number}": slot for number, slot in enumerate(slots or [])}
            statement = candidates.by_id(
                descending=order.descending,
                started=self.after is not None,
                slots=None if slots is None else list(named),
                attributes=self.wanted.of_attributes(),
            )
            return statement, {**parameters, **named}
        bound = "slot >= :slot_since" if self.wanted.evaluated_since is not None else "true"
        if self.wanted.evaluated_since is not None and not order.descending:
            bound += " AND evaluated_at >= :since"  # most of the first slot may have been evaluated before
        statement = candidates.by_slot(
            descending=order.descending,
            started=parameters["value"] is not None,
            bound="false" if self._without_value else bound,
        )
        return statement, parameters

    def _points(self, value: float | None) -> list[int | None]:
        """The whole points to go through from `value` on, and a null for accounts without a score."""
        if self._without_value:
            return [None]
        points = self.wanted.points
        here = (0 if not self.order.descending else 100) if value is None else floor(value)
        left = [point for point in points if (point <= here if self.order.descending else point >= here)]
        without: list[int | None] = [] if self.wanted.score_bounds() else [None]
        return [*(reversed(left) if self.order.descending else left), *without]

    async def _few_slots(self, connection: AsyncConnection) -> list[datetime] | None:
        """The slots in which accounts were evaluated since then; None if they are more than can be merged."""
        parameters = {"slot_since": self.wanted.parameters()["slot_since"], "most": MOST_SLOTS + 1}
        slots = list((await connection.execute(_SLOTS, parameters)).scalars())
        return slots if len(slots) <= MOST_SLOTS else None

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

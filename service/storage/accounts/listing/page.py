"""Reads a page of accounts, by account id, score or time of evaluation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.storage.accounts.account_filter import AccountFilter
from service.storage.accounts.accounts import AccountRecord
from service.storage.accounts.listing.list_query import ListQuery
from service.storage.accounts.listing.planner import FullMatchPlan, Planner
from service.storage.accounts.listing.sort_order import PageKey, SortColumn, SortOrder

Sort = Literal["account_id", "-account_id", "score", "-score", "evaluated_at", "-evaluated_at"]

# Accounts are found by indexes only, and statements are planned for their values: the cost of a page must not grow with
# the tables.
_BY_INDEX = text("""
    SELECT set_config('enable_seqscan', 'off', true), set_config('random_page_cost', '1.1', true),
           set_config('max_parallel_workers_per_gather', '0', true),
           set_config('plan_cache_mode', 'force_custom_plan', true)
""")


@dataclass(frozen=True, slots=True)
class ListedAccounts:
    """Accounts, and the order that the next page must use as well."""

    accounts: Sequence[AccountRecord]
    order: SortOrder

    def key_of(self, account: AccountRecord) -> PageKey:
        """The `after` of the page that continues after `account`."""
        return self.order.key_of(account.account_id, account.score, account.evaluated_at)


async def page(
    connection: AsyncConnection, wanted: AccountFilter, *, sort: Sort, after: PageKey | None, limit: int
) -> ListedAccounts:
    """Up to `limit` accounts that follow `after`. A leading `-` sorts descending; accounts without a value come last.

    Equal values are sorted by account id, ascending, so that no account is missed or repeated. By time of evaluation,
    accounts of the same two minutes may count as equal if there are more than `FIRST_SCAN_ROWS_BY_TIME`, or if the
    planner expects many more.

    Needs a transaction of its own: until it ends, the connection's statements are planned differently.
    """
    await connection.execute(_BY_INDEX)
    descending = sort.startswith("-")
    column = cast(SortColumn, sort.removeprefix("-"))
    if column == "evaluated_at":
        return await _by_time(connection, wanted, descending, after, limit)
    query = ListQuery(wanted, SortOrder(column, descending), after, limit)
    found = await Planner(connection, query).scan_index()
    if isinstance(found, FullMatchPlan):
        return ListedAccounts(await query.fetch_all_and_sort(connection, found.statement), query.order)
    return ListedAccounts(found.accounts, query.order)


async def _by_time(
    connection: AsyncConnection, wanted: AccountFilter, descending: bool, after: PageKey | None, limit: int
) -> ListedAccounts:
    """Read a page by slot, unless the whole list can be sorted at once; the first page decides that for the following
    ones.
    """
    by_slot = ListQuery(wanted, SortOrder("slot", descending), after, limit)
    plan = None
    if after is None or not after[2]:
        found = await Planner(connection, by_slot).scan_index()
        if isinstance(found, FullMatchPlan):
            plan = found
            if after is not None:
                return ListedAccounts(await by_slot.fetch_all_and_sort(connection, plan.statement), by_slot.order)
        elif after is not None or not found.ended:
            return ListedAccounts(found.accounts, by_slot.order)
    exact = ListQuery(wanted, SortOrder("evaluated_at", descending), after, limit)
    plan = plan or await Planner(connection, exact).cheapest_full_match()
    return ListedAccounts(await exact.fetch_all_and_sort(connection, plan.statement), exact.order)

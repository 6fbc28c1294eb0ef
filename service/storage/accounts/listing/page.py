"""Reads a page of accounts from `listed_accounts`, by account id, score or time of change.

Mostly the index that has the list's order is read until the page is full; the other columns of the index show which
accounts don't match. Where few accounts match, that could take long: all of them are fetched and sorted instead.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.storage.accounts.account_filter import AccountFilter
from service.storage.accounts.accounts import RECORD_COLUMNS, AccountRecord
from service.storage.accounts.listing.list_query import ListQuery, PageKey

Sort = Literal["account_id", "-account_id", "score", "-score", "changed_at", "-changed_at"]

FEW = 3_000
"""Up to so many matching accounts are fetched and sorted, in about 20 ms. If more of a million match, 100 of them come
within 33,000 entries of an index, on average, which takes about as long. In single runs of the benchmark's filters
1,000, 2,000 and 5,000 were slower at p99.
"""

# Accounts are found by indexes only, and statements are planned for their values: the cost of a page must not grow with
# the tables.
_BY_INDEX = text("""
    SELECT set_config('enable_seqscan', 'off', true), set_config('random_page_cost', '1.1', true),
           set_config('max_parallel_workers_per_gather', '0', true),
           set_config('plan_cache_mode', 'force_custom_plan', true)
""")


class ListedPage(NamedTuple):
    """Accounts, and the `after` of the next page; None if there is none."""

    accounts: list[AccountRecord]
    after: PageKey | None


async def page(
    connection: AsyncConnection, wanted: AccountFilter, *, sort: Sort, after: PageKey | None, size: int
) -> ListedPage:
    """Up to `size` accounts that follow `after`. A leading `-` sorts descending; accounts without a score come last.

    Equal values are sorted by account id, in the same direction. Filters and order are those of `listed_accounts`: a
    score shown may differ by less than a tenth of a point.

    Needs a transaction of its own: until it ends, the connection's statements are planned differently.
    """
    await connection.execute(_BY_INDEX)
    query = ListQuery(wanted, sort.removeprefix("-"), sort.startswith("-"), after)
    keys = query.in_order()
    for rarity in query.rarities():
        if await _are_few(connection, query, rarity.counted):
            keys = query.all_sorted(rarity.rows)
            break
    rows = await _read(connection, query, keys, size + 1)
    found = [AccountRecord(*record) for _, *record in rows[:size]]
    return ListedPage(found, (rows[size - 1][0], found[-1].account_id) if len(rows) > size else None)


def in_shown_order(accounts: Iterable[AccountRecord], sort: Sort) -> list[AccountRecord]:
    """The accounts of a page by the exact scores that they show, if it is sorted by score; else as they are."""
    if sort.removeprefix("-") != "score":
        return list(accounts)
    shown = [(each.score, each) for each in accounts]
    scored = sorted(
        ((score, each) for score, each in shown if score is not None),
        key=lambda pair: pair[0],
        reverse=sort.startswith("-"),
    )
    return [each for _, each in scored] + [each for score, each in shown if score is None]


async def _are_few(connection: AsyncConnection, query: ListQuery, rows: str) -> bool:
    some = f"SELECT FROM {rows} LIMIT :few + 1"
    counted = await connection.execute(
        text(f"SELECT count(*) FROM ({some}) AS found"),  # noqa: S608 - made of this package's own text
        {**query.parameters(), "few": FEW},
    )
    return int(counted.scalar_one()) <= FEW


async def _read(connection: AsyncConnection, query: ListQuery, keys: str, limit: int) -> Sequence[Sequence[Any]]:
    """Up to `limit` rows: the value of the key, and the fields of `AccountRecord`."""
    statement = f"""
        SELECT l.value, {RECORD_COLUMNS} FROM ({keys}) AS l
        JOIN scores s ON s.account_id = l.account_id JOIN accounts a ON a.account_id = l.account_id
        ORDER BY {query.order("value")}
    """  # noqa: S608 - as above
    return (await connection.execute(text(statement), {**query.parameters(), "limit": limit})).all()

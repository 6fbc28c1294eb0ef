"""SQL that fetches all matching accounts by the most selective index, and SQL for a page of them."""

from collections.abc import Iterator

from service.storage.accounts.account_filter import AccountFilter
from service.storage.accounts.accounts import RECORD_COLUMNS
from service.storage.accounts.listing.index_columns import band_conditions, slot_conditions
from service.storage.accounts.listing.index_scans import COLUMNS as SCORE_COLUMNS
from service.storage.accounts.listing.sort_order import PageKey, SortOrder

_S = ", ".join(f"s.{name}" for name in SCORE_COLUMNS.split(", "))
_BOTH = "scores s JOIN accounts a ON a.account_id = s.account_id"


def statements(wanted: AccountFilter) -> Iterator[tuple[str, list[list[str]]]]:
    """SQL for all matching accounts: by the indexes on attributes, and by those on scores, which end with the
    attributes.

    Each comes with the conditions on index entries that are read only to check their attributes; either index may be
    used.
    """
    attributes, points, slots = wanted.attribute_conditions(), band_conditions(wanted), slot_conditions(wanted)
    yield _select(_BOTH if attributes else "scores s", [*attributes, *points, *slots]), []
    if attributes and (through := [conditions for conditions in (points, slots) if conditions]):
        yield _select("scores s", [*wanted.attribute_conditions("s"), *points, *slots]), through


def sorted_page(matching: str, wanted: AccountFilter, order: SortOrder, after: PageKey | None) -> str:
    """SQL for the first `:limit` of the matching accounts that follow `after`."""
    # OFFSET 0 makes Postgres plan for all rows, not in the hope that the first few come soon. Conditions implied by
    # others stay outside: the planner would think that they leave only some of the rest.
    exactly = [*wanted.score_conditions(), *order.conditions_after(after)]
    return f"""
        SELECT {RECORD_COLUMNS} FROM (
            SELECT * FROM ({matching} OFFSET 0) AS s WHERE {" AND ".join(exactly) or "true"}
            ORDER BY {order.clause()} LIMIT :limit
        ) AS s JOIN accounts a ON a.account_id = s.account_id ORDER BY {order.clause()}
    """  # noqa: S608 - made of this package's own text


def _select(rows: str, conditions: list[str]) -> str:
    return f"SELECT {_S} FROM {rows} WHERE {' AND '.join(conditions) or 'true'}"  # noqa: S608 - own text

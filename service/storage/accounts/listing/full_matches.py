"""All accounts that match, by the indexes that narrow them down: SQL for each way to them, and for a page of them."""

from collections.abc import Iterator

from service.storage.accounts.listing.filters import AccountFilter
from service.storage.accounts.listing.index_scans import COLUMNS as OF_SCORES
from service.storage.accounts.listing.row import COLUMNS
from service.storage.accounts.listing.sort_order import PageKey, SortOrder

_S = ", ".join(f"s.{name}" for name in OF_SCORES.split(", "))
_BOTH = "scores s JOIN accounts a ON a.account_id = s.account_id"


def statements(wanted: AccountFilter) -> Iterator[tuple[str, list[list[str]]]]:
    """SQL for all that match: by the indexes of the attributes, and by those of scores, which have the attributes last.

    With it come conditions on entries of an index that are gone through for their attributes; it may be either index.
    """
    attributes, points, slots = wanted.of_attributes(), wanted.of_points(), wanted.of_slots()
    yield _select(_BOTH if attributes else "scores s", [*attributes, *points, *slots]), []
    if attributes and (through := [conditions for conditions in (points, slots) if conditions]):
        yield _select("scores s", [*wanted.of_attributes("s"), *points, *slots]), through


def sorted_page(matching: str, wanted: AccountFilter, order: SortOrder, after: PageKey | None) -> str:
    """SQL for the first `:limit` of these that follow `after`."""
    # OFFSET 0, so that it is planned for all rows, not in the hope that the first few come soon. What follows from
    # other conditions stays outside: to the planner it would look as if that left only some of the rest.
    exactly = [*wanted.of_scores(), *order.behind(after)]
    return f"""
        SELECT {COLUMNS} FROM (
            SELECT * FROM ({matching} OFFSET 0) AS s WHERE {" AND ".join(exactly) or "true"}
            ORDER BY {order.clause()} LIMIT :limit
        ) AS s JOIN accounts a ON a.account_id = s.account_id ORDER BY {order.clause()}
    """  # noqa: S608 - made of this package's own text


def _select(rows: str, conditions: list[str]) -> str:
    return f"SELECT {_S} FROM {rows} WHERE {' AND '.join(conditions) or 'true'}"  # noqa: S608 - own text

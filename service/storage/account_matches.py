"""All accounts that match, by the indexes that narrow them down: SQL for each way to them, and for a page of them."""

from collections.abc import Iterator

from service.storage.account_candidates import COLUMNS as OF_SCORES
from service.storage.account_filters import Filter
from service.storage.account_orders import Key, Order
from service.storage.account_rows import COLUMNS

MEETING_COST = 1.75
"""By how much the planner has too good an opinion of indexes that meet. Measured."""

_S = ", ".join(f"s.{name}" for name in OF_SCORES.split(", "))
_BOTH = "scores s JOIN accounts a ON a.account_id = s.account_id"


def ways(wanted: Filter) -> Iterator[tuple[float, str]]:
    """SQL for what matches by all that indexes know, and by how much it costs more than the planner says."""
    attributes, points, slots = wanted.of_attributes(), wanted.of_points(), wanted.of_slots()
    yield 1.0, _fetched(_BOTH if attributes else "scores s", [*attributes, *points, *slots])
    if not attributes or (not wanted.score_bounds() and not slots):
        return  # of the conditions on scores, bands alone leave too many
    yield 1.0, _fetched("scores s", [*wanted.of_attributes("s"), *points, *slots])
    # Each condition leaves many, and both leave few: they meet in the indexes, and rows are fetched of these alone.
    first, later = (points, slots) if wanted.score_bounds() else (slots, points)
    yield (
        MEETING_COST,
        f"""
            WITH such AS MATERIALIZED (SELECT s.account_id FROM {_BOTH} WHERE {" AND ".join([*attributes, *first])})
            {_fetched("such JOIN scores s ON s.account_id = such.account_id", later)}
        """,  # noqa: S608 - made of this package's own text
    )


def in_order(matching: str, wanted: Filter, order: Order, after: Key | None) -> str:
    """SQL for the first `:limit` of these that follow `after`."""
    # Materialized, so that it is planned for all rows, not in the hope that the first few come soon. What follows from
    # other conditions stays outside: to the planner it would look as if that left only some of the rest.
    exactly = [*wanted.of_scores(), *order.behind(after)]
    return f"""
        WITH candidate AS MATERIALIZED ({matching})
        SELECT {COLUMNS} FROM (
            SELECT * FROM candidate s WHERE {" AND ".join(exactly) or "true"} ORDER BY {order.clause()} LIMIT :limit
        ) AS s JOIN accounts a ON a.account_id = s.account_id ORDER BY {order.clause()}
    """  # noqa: S608 - made of this package's own text


def _fetched(rows: str, conditions: list[str]) -> str:
    return f"SELECT {_S} FROM {rows} WHERE {' AND '.join(conditions) or 'true'}"  # noqa: S608 - own text

"""The generated columns of `scores` that lists are read by, and the conditions of a filter on them.

`scores` is updated with every event, and most of these updates must leave the indexes alone (heap-only tuples). So no
index holds what nearly every event changes. Generated columns that seldom change are indexed instead:

- `quarter`: the score in quarter points. Accounts that share one are sorted when a page reaches them.
- `settled`: the score, if it has not changed since an earlier day, or if it is whole, as 0, 100 and caps are. Any
  number of accounts may share such a score, and the index has them in their final order.
- `slot`: the two minutes that contain `evaluated_at`. Every night a million accounts are evaluated within minutes, too
  many to sort for a page: they are listed by slot, and within a slot by account id.
"""

from datetime import UTC, datetime, timedelta
from math import floor
from typing import Any

from service.storage.accounts.account_filter import BANDS, AccountFilter

SLOT = timedelta(minutes=2)
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


def slot_of(moment: datetime) -> datetime:
    """The value of the column `slot` for a time of evaluation."""
    return moment - (moment - _EPOCH) % SLOT


def quarter_of(score: float) -> int:
    """The value of the column `quarter` for a score; impossible scores count as the nearest one."""
    return floor(min(max(score, 0.0), 100.0) * 4)


def quarters(wanted: AccountFilter) -> range:
    """The values of the column `quarter` that matching scores can have."""
    first = 0.0 if wanted.min_score is None else wanted.min_score
    last = 100.0 if wanted.max_score is None else wanted.max_score
    return range(quarter_of(first), quarter_of(last) + 1)


def slot_conditions(wanted: AccountFilter) -> list[str]:
    """Conditions that the index by slot can check."""
    return ["s.slot >= :slot_since"] if wanted.evaluated_since is not None else []


def band_conditions(wanted: AccountFilter) -> list[str]:
    """Conditions that the index by band and quarter points can check."""
    if wanted.score_bounds():
        return ["s.quarter BETWEEN :first_quarter AND :last_quarter", "s.band = ANY(:all_bands)"]
    return ["s.band = ANY(:bands)"] if wanted.bands is not None else []


def parameters(wanted: AccountFilter) -> dict[str, Any]:
    """The bind parameters of all conditions of a filter."""
    since, possible = wanted.evaluated_since, quarters(wanted)
    return {
        **wanted.parameters(),
        "all_bands": BANDS,
        "slot_since": None if since is None else slot_of(since),
        "first_quarter": possible.start,
        "last_quarter": possible.stop - 1,
    }

"""The limit on dead letters that stops a bad deploy from draining a topic into dead letters.

`consumers.fold.version_trial` then finds out whether this version is at fault.
"""

from collections.abc import Sequence

from msgspec import Struct

WINDOW = 1_000
"""Records of a partition over which the share of refused ones is measured."""


class Limits(Struct, frozen=True):
    """Limits on refused records: more than `run` in a row, or than `share` of the last `WINDOW`, are too many.

    0 and 1 mean no limit.
    """

    run: int
    share: float


def too_many(refused: Sequence[int], limits: Limits) -> str | None:
    """The reason why refused records, by ascending offset, are too many; None if they aren't."""
    run = 0
    for index, offset in enumerate(refused):
        run = run + 1 if index and offset == refused[index - 1] + 1 else 1
        if limits.run and run > limits.run:
            return f"more than {limits.run:,} records in a row were refused, up to offset {offset}"
    most = round(limits.share * WINDOW)
    for first, last in zip(refused, refused[most:], strict=False):
        if last - first < WINDOW:
            return f"more than {limits.share:.0%} of {WINDOW:,} records were refused, up to offset {last}"
    return None


def recent(refused: Sequence[int], next_offset: int) -> list[int]:
    """The refused offsets that still count for records from `next_offset` on."""
    return [offset for offset in refused if offset >= next_offset - WINDOW]

"""When so much is refused that the fault may be ours: a bad deploy must not drain a topic into dead letters.

`consumers.fold.version_trial` finds out whether it is.
"""

from collections.abc import Sequence

from msgspec import Struct

WINDOW = 1_000
"""Records of a partition over which the share of refused ones is judged."""


class Limits(Struct, frozen=True):
    """More refused records in a row than `run`, or among the last `WINDOW` than `share`, are too many.

    0 and 1 stand for no limit.
    """

    run: int
    share: float


def too_many(refused: Sequence[int], limits: Limits) -> str | None:
    """Why the refused records of a partition, by offset and in order, are too many; None if they aren't."""
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
    """Those that still matter to the judgement of what comes from `next_offset` on."""
    return [offset for offset in refused if offset >= next_offset - WINDOW]

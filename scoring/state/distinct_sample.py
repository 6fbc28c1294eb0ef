"""Counts distinct members in bounded space.

Members are uniform 64-bit hashes. Up to `LIMIT` of them are kept, and the count is exact. Above that the `LIMIT`
smallest are kept (a bottom-k sketch; Cohen and Kaplan, "Summarizing data using bottom-k sketches", PODC 2007): `below`
is the (LIMIT + 1)th smallest hash ever kept, each hash under it is in the sample with certainty and each other one is
not, so `kept / (below / 2^64)` is unbiased with a standard error of 1 / sqrt(LIMIT - 1), 1.6 %.
"""

from typing import TypeVar

LIMIT = 4096
ALL = 2**64 - 1
"""`below` while all hashes are kept."""

Value = TypeVar("Value")


def shrink(members: dict[int, Value], below: int) -> int:
    """Drop all but the `LIMIT` smallest hashes from `members`; returns the new `below`."""
    if len(members) <= LIMIT:
        return below
    bound = sorted(members)[LIMIT]
    for member in [member for member in members if member >= bound]:
        del members[member]
    return bound


def estimate(kept: int, below: int) -> int:
    """The estimated number of distinct members when `kept` of the sample qualify."""
    return kept if below == ALL else round(kept * 2**64 / below)

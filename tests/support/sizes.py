"""The sizes of seeded runs: small, so that all tests take ten minutes; HEALTH_TEST_SIZE=large for a nightly run."""

import os

LARGE = os.environ.get("HEALTH_TEST_SIZE") == "large"


def sized(small: int, large: int) -> int:
    """The size that this run asks for."""
    return large if LARGE else small

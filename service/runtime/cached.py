"""A cached value that is renewed before it is too old."""

import math
from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Cached(Generic[Value]):
    """A value that was read now. One caller reads it again while it still holds; once it doesn't, every caller has to.

    All requests under way find a value too old at the same moment. When 32 of them read the policy again each second,
    all stood still for up to a tenth of a second, and a fifth of the API's processor time went into it.
    """

    __slots__ = ("_is_being_renewed", "_keep", "_monotonic", "_read_at", "value")

    def __init__(self, value: Value, keep_seconds: float, monotonic: Callable[[], float]) -> None:
        """The value holds for `keep_seconds`, and is renewed from half of them on."""
        self.value = value
        self._keep = keep_seconds
        self._monotonic = monotonic
        self._read_at = monotonic()
        self._is_being_renewed = False

    @property
    def age(self) -> float:
        """The seconds since it was read; infinite if it no longer holds by `expire`."""
        return self._monotonic() - self._read_at

    def is_due(self) -> bool:
        """True if this caller has to read it again. While it holds, that is only the first to ask."""
        age = self.age
        if age < self._keep / 2 or (self._is_being_renewed and age < self._keep):
            return False
        self._is_being_renewed = True
        return True

    def expire(self) -> None:
        """Have every caller read it again."""
        self._read_at = -math.inf

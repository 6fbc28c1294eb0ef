"""Single values of a column or an option, in the form in which events carry them in JSON.

A value of the wrong form stays as it is, for the check of the event to name. A value that JSON can't express is a
`ValueError` here: an infinity would silently become a null, and a whole number above 64 bits has no encoder.
"""

import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from service.jobs.load.event_fields import FieldKind
from service.jobs.load.times import localised, shift_day, shift_moment

_LEAST, _MOST = -(2**63), 2**64 - 1
_MOST_DIGITS = 20


def plain_constant(text: str, kind: FieldKind, shift_days: int = 0, zone: ZoneInfo | None = None) -> Any:
    """The value of a constant that was given as text."""
    return plain_text(text, kind, shift_days, zone)


def plain_text(text: str, kind: FieldKind, shift_days: int, zone: ZoneInfo | None) -> Any:
    """Text for a field of any kind; moments and days move by `shift_days`. Raises `ValueError` naming the fault."""
    if kind == "moment":
        return shift_moment(localised(text, zone), shift_days) if shift_days or zone else text
    if kind == "day":
        return shift_day(text, shift_days) if shift_days else text
    return FORMS[kind](text)


def as_text(value: Any) -> Any:
    """A value as text; whole numbers in a column of floats have no point."""
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return str(int(_finite(value))) if value == int(_finite(value)) else str(value)
    if isinstance(value, bytes):
        return value.decode()
    return str(value).lower() if isinstance(value, bool) else str(value)


def as_whole(value: Any) -> Any:
    """A whole number; one with a fraction stays as it is."""
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, str):
        # Python takes seconds for thousands of digits, and refuses more.
        return _within(int(value)) if value.isdecimal() and len(value) <= _MOST_DIGITS else value
    if isinstance(value, float | Decimal) and _finite(value) == value.__trunc__():
        return _within(int(value))
    return value


def as_number(value: Any) -> Any:
    """A number, also from text; NaN is refused."""
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return value
    return None if math.isnan(number) else _finite(number)


def as_money(value: Any) -> Any:
    """An amount as text, so that no digit is lost; NaN is refused."""
    return None if isinstance(value, float) and math.isnan(value) else str(value)


def uuid_text(value: bytes | UUID) -> str:
    """A UUID as people write it."""
    return str(value if isinstance(value, UUID) else UUID(bytes=value))


def _finite(number: Any) -> Any:
    if not math.isfinite(number):
        raise ValueError(f"{number} is not a finite number")
    return number


def _within(number: int) -> int:
    if not _LEAST <= number <= _MOST:
        raise ValueError(f"{number:.3e} is too large a number")
    return number


FORMS: dict[FieldKind, Callable[[Any], Any]] = {
    "text": as_text,
    "whole": as_whole,
    "number": as_number,
    "money": as_money,
}
"""The converters of kinds other than times."""

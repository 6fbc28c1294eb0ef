"""A column of an Arrow table as the plain values that events carry in JSON; a null or a NaN becomes None."""

import math
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from service.loading.fields import Kind
from service.loading.shifting import shift_day, shift_moment

_NUMERIC = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
_CALENDAR = (pa.types.is_timestamp, pa.types.is_date)
_FITTING: dict[Kind, tuple[str, tuple[Callable[[Any], bool], ...]]] = {
    "text": ("text or numbers", (*_NUMERIC, pa.types.is_boolean)),
    "whole": ("whole numbers", _NUMERIC),
    "number": ("numbers", _NUMERIC),
    "money": ("numbers", _NUMERIC),
    "moment": ("timestamps, dates or RFC 3339 text", _CALENDAR),
    "day": ("dates, timestamps or YYYY-MM-DD text", _CALENDAR),
}


def why_unusable(type_: pa.DataType, kind: Kind) -> str | None:
    """Why a column of this type can't fill a field of this kind; None if it can. Text may hold any kind."""
    if pa.types.is_dictionary(type_):
        type_ = type_.value_type
    wanted, tests = _FITTING[kind]
    if pa.types.is_null(type_) or _is_text(type_) or any(test(type_) for test in tests):
        return None
    return f"it holds {type_}, and {wanted} are needed"


def plain_values(column: pa.Array, kind: Kind, shift_days: int) -> list[Any]:
    """The column's values in the form of their kind; moments and days are moved by `shift_days`.

    What can't be brought into that form stays as it is, for the check of the event to name. Raises `pa.ArrowInvalid`
    if the column itself is broken.
    """
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        column = column.cast(pa.string())
    if kind == "moment":
        return _moments(column, shift_days)
    if kind == "day":
        return _days(column, shift_days)
    if kind == "text" and (_is_text(column.type) or pa.types.is_integer(column.type)):
        return list(column.cast(pa.string()).to_pylist())
    form = _FORMS[kind]
    return [None if value is None else form(value) for value in column.to_pylist()]


def plain_constant(text: str, kind: Kind, shift_days: int = 0) -> Any:
    """The value of a constant that was given as text."""
    return plain_values(pa.array([text]), kind, shift_days)[0]


def _moments(column: pa.Array, shift_days: int) -> list[Any]:
    if _is_text(column.type):
        texts: list[Any] = column.to_pylist()
        return [text and shift_moment(text, shift_days) for text in texts] if shift_days else texts
    written = pc.utf8_replace_slice(_shifted(column, shift_days).cast(pa.string()), 10, 11, "T")
    return list(pc.binary_join_element_wise(written, "Z", "").to_pylist())


def _days(column: pa.Array, shift_days: int) -> list[Any]:
    if _is_text(column.type):
        texts: list[Any] = column.to_pylist()
        return [text and shift_day(text, shift_days) for text in texts] if shift_days else texts
    return list(pc.utf8_slice_codeunits(_shifted(column, shift_days).cast(pa.string()), 0, 10).to_pylist())


def _shifted(column: pa.Array, shift_days: int) -> pa.Array:
    """Timestamps or dates as UTC microseconds, moved. A timestamp without a zone is taken for UTC."""
    # Nanoseconds are cut off; a coarser unit that doesn't fit is an error, not another moment.
    is_nano = pa.types.is_timestamp(column.type) and column.type.unit == "ns"
    moments = column.cast(pa.timestamp("us"), safe=not is_nano)
    return pc.add_checked(moments, pa.scalar(timedelta(days=shift_days), pa.duration("us"))) if shift_days else moments


def _text(value: Any) -> Any:
    if isinstance(value, float):
        # A column of whole numbers with gaps arrives as floats.
        return _whole(value) if not math.isfinite(value) else str(_whole(value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _whole(value: Any) -> Any:
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, str):
        return int(value) if value.isdecimal() else value
    if isinstance(value, float | Decimal) and math.isfinite(value) and value == int(value):
        return int(value)
    return value


def _number(value: Any) -> Any:
    try:
        number = float(value)
    except ValueError:
        return value
    return None if math.isnan(number) else number


def _money(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else str(value)


_FORMS: dict[Kind, Callable[[Any], Any]] = {"text": _text, "whole": _whole, "number": _number, "money": _money}


def _is_text(type_: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(type_)
        or pa.types.is_large_string(type_)
        or pa.types.is_string_view(type_)
        or pa.types.is_binary(type_)
        or pa.types.is_large_binary(type_)
    )

"""Conversion of an Arrow column to the plain values that events carry in JSON; a null or a NaN becomes None."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from service.jobs.load.event_fields import FieldKind
from service.jobs.load.times import in_utc
from service.jobs.load.values import FORMS, plain_text, uuid_text

FAULTS = (pa.ArrowException, ArithmeticError, LookupError, OSError, RuntimeError, TypeError, ValueError)
"""The errors that Arrow raises at a damaged file or value: most of Python's own among them."""

_UUID_BYTES = 16
_NUMERIC = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
_CALENDAR = (pa.types.is_timestamp, pa.types.is_date)
_FITTING: dict[FieldKind, tuple[str, tuple[Callable[[Any], bool], ...]]] = {
    "text": ("text or numbers", (*_NUMERIC, pa.types.is_boolean)),
    "whole": ("whole numbers", _NUMERIC),
    "number": ("numbers", _NUMERIC),
    "money": ("numbers", _NUMERIC),
    "moment": ("timestamps, dates or RFC 3339 text", _CALENDAR),
    "day": ("dates, timestamps or YYYY-MM-DD text", _CALENDAR),
}


def unusable_reason(type_: pa.DataType, kind: FieldKind) -> str | None:
    """The reason why a column of this type can't fill a field of this kind; None if it can. Text may hold any kind."""
    stored = _stored(type_)
    wanted, tests = _FITTING[kind]
    if kind == "text" and _is_uuid(stored):
        return None
    if pa.types.is_null(stored) or _is_text(stored) or any(test(stored) for test in tests):
        return None
    return f"it holds {type_}, and {wanted} are needed"


def is_naive(type_: pa.DataType, kind: FieldKind) -> bool:
    """True if a moment is to be read from times, or days, without a time zone."""
    stored = _stored(type_)
    if kind != "moment":
        return False
    return bool(pa.types.is_date(stored) or (pa.types.is_timestamp(stored) and stored.tz is None))


def values_and_faults(
    column: pa.Array, kind: FieldKind, shift_days: int, zone: ZoneInfo | None
) -> tuple[list[Any], dict[int, str]]:
    """The column's values in the form of their kind, and by position the faults of those that can't be converted."""
    try:
        return plain_values(column, kind, shift_days, zone), {}
    except FAULTS:
        pass
    values: list[Any] = []
    faults: dict[int, str] = {}
    for position in range(len(column)):
        try:
            values += plain_values(column.slice(position, 1), kind, shift_days, zone)
        except FAULTS as error:
            values.append(None)
            faults[position] = _reason(error)
    return values, faults


def plain_values(column: pa.Array, kind: FieldKind, shift_days: int, zone: ZoneInfo | None = None) -> list[Any]:
    """The column's values in the form of their kind; moments and days are moved by `shift_days`.

    A value that can't be converted stays as it is, for the check of the event to name. Raises one of `FAULTS` if a
    value can't be represented at all, or the column itself is broken.
    """
    column = _plain_column(column)
    if _is_uuid(column.type):
        return [None if value is None else uuid_text(value) for value in column.to_pylist()]
    if _is_text(column.type):
        return _texts(column.cast(pa.string()).to_pylist(), kind, shift_days, zone)
    if kind == "moment":
        return _moments(column, shift_days, zone)
    if kind == "day":
        return _days(column, shift_days)
    if kind == "text" and pa.types.is_integer(column.type):
        return list(column.cast(pa.string()).to_pylist())
    form = FORMS[kind]
    return [None if value is None else form(value) for value in column.to_pylist()]


def _texts(texts: list[Any], kind: FieldKind, shift_days: int, zone: ZoneInfo | None) -> list[Any]:
    if kind == "text" or (kind in ("moment", "day") and not shift_days and zone is None):
        return texts
    return [text and plain_text(text, kind, shift_days, zone) for text in texts]


def _moments(column: pa.Array, shift_days: int, zone: ZoneInfo | None) -> list[Any]:
    if zone is not None and is_naive(column.type, "moment"):
        column = _from_zone(column, zone)
    written = pc.utf8_replace_slice(_shifted(column, shift_days).cast(pa.string()), 10, 11, "T")
    return list(pc.binary_join_element_wise(written, "Z", "").to_pylist())


def _from_zone(column: pa.Array, zone: ZoneInfo) -> pa.Array:
    """Local times as moments in UTC. Arrow refuses those that clocks skip; `in_utc` handles them."""
    column = _microseconds(column)
    try:
        return pc.assume_timezone(column, zone.key, ambiguous="earliest", nonexistent="raise")
    except pa.ArrowException:
        local = column.to_pylist()
        return pa.array(
            [None if moment is None else in_utc(moment, zone) for moment in local], pa.timestamp("us", "UTC")
        )


def _days(column: pa.Array, shift_days: int) -> list[Any]:
    return list(pc.utf8_slice_codeunits(_shifted(column, shift_days).cast(pa.string()), 0, 10).to_pylist())


def _shifted(column: pa.Array, shift_days: int) -> pa.Array:
    """Timestamps or dates as UTC microseconds, moved. A timestamp without a zone counts as UTC."""
    moments = _microseconds(column)
    return pc.add_checked(moments, pa.scalar(timedelta(days=shift_days), pa.duration("us"))) if shift_days else moments


def _microseconds(column: pa.Array) -> pa.Array:
    # Nanoseconds are cut off; a coarser unit that doesn't fit is an error, not another moment.
    is_nano = pa.types.is_timestamp(column.type) and column.type.unit == "ns"
    return column.cast(pa.timestamp("us"), safe=not is_nano)


def _plain_column(column: pa.Array) -> pa.Array:
    """The column without encodings that only affect its storage."""
    if isinstance(column.type, pa.BaseExtensionType):
        column = column.storage
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _stored(type_: pa.DataType) -> pa.DataType:
    if isinstance(type_, pa.BaseExtensionType):
        type_ = type_.storage_type
    return type_.value_type if pa.types.is_dictionary(type_) else type_


def _is_uuid(type_: pa.DataType) -> bool:
    """True if values have 16 bytes each, as UUIDs are stored, with or without that name."""
    return bool(pa.types.is_fixed_size_binary(type_) and type_.byte_width == _UUID_BYTES)


def _is_text(type_: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(type_)
        or pa.types.is_large_string(type_)
        or pa.types.is_string_view(type_)
        or pa.types.is_binary(type_)
        or pa.types.is_large_binary(type_)
        or pa.types.is_binary_view(type_)
    )


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError) or "UTF8" in str(error):
        return "is no text in UTF-8"
    reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
    return f"can't be used: {reason}"

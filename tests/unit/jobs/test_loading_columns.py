"""Columns of a table as the values that events carry."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from service.jobs.load.arrow_columns import plain_values, unusable_reason
from service.jobs.load.event_fields import FieldKind
from service.jobs.load.values import plain_constant

MOMENT = 1_579_110_899
PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


@pytest.mark.parametrize("unit", PER_SECOND)
@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin", "America/St_Johns", "+05:30"])
def test_a_timestamp_of_any_unit_and_zone_is_the_same_moment_in_utc(unit: str, zone: str | None) -> None:
    column = pa.array([MOMENT * PER_SECOND[unit], None]).cast(pa.timestamp(unit, zone))
    first, missing = plain_values(column, "moment", 0)
    assert first == "2020-01-15T17:54:59.000000Z"
    assert missing is None


def test_fractions_of_a_second_are_kept_to_the_microsecond() -> None:
    column = pa.array([MOMENT * 10**9 + 123_456_789], pa.timestamp("ns"))
    assert plain_values(column, "moment", 0) == ["2020-01-15T17:54:59.123456Z"]


def test_a_moment_beyond_what_can_be_written_is_an_error_and_not_another_moment() -> None:
    with pytest.raises(pa.ArrowInvalid):
        plain_values(pa.array([10**15], pa.timestamp("s")), "moment", 0)


@pytest.mark.parametrize(
    "column",
    [
        pa.array([date(2020, 1, 31)]),
        pa.array([datetime(2020, 1, 31, 23, 59)]),  # noqa: DTZ001 - a table's timestamps have no zone
        pa.array([datetime(2020, 1, 31, tzinfo=UTC)]),
        pa.array(["2020-01-31"]),
    ],
)
def test_days_come_from_dates_timestamps_and_text(column: pa.Array) -> None:
    assert plain_values(column, "day", 0) == ["2020-01-31"]
    assert plain_values(column, "day", 1) == ["2020-02-01"]


@pytest.mark.parametrize(
    "column",
    [
        pa.array([datetime(2020, 2, 28, 12, tzinfo=UTC)]),
        pa.array(["2020-02-28T12:00:00Z"]),
        pa.array(["2020-02-28T13:00:00+01:00"]),
        pa.array([b"2020-02-28T12:00:00Z"]),
        pa.array(["2020-02-28T12:00:00Z"]).dictionary_encode(),
    ],
)
def test_moments_move_by_whole_days(column: pa.Array) -> None:
    (moved,) = plain_values(column, "moment", 2)
    assert datetime.fromisoformat(moved) == datetime(2020, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("column", "kind", "expected"),
    [
        (pa.array([7, None]), "text", ["7", None]),
        (pa.array([7.0, None, float("nan")]), "text", ["7", None, None]),
        (pa.array([2.0**60, 1.5]), "text", ["1152921504606846976", "1.5"]),
        (pa.array([True]), "text", ["true"]),
        (pa.array(["a", "b", "a"]).dictionary_encode(), "text", ["a", "b", "a"]),
        (pa.array(["a"], pa.large_string()), "text", ["a"]),
        (pa.array(["a"], pa.string_view()), "text", ["a"]),
        (pa.array([b"a"]), "text", ["a"]),
        (pa.nulls(2), "text", [None, None]),
        (pa.array([3, None], pa.int16()), "whole", [3, None]),
        (pa.array([3.0, float("nan"), 2.5]), "whole", [3, None, 2.5]),
        (pa.array([Decimal("3.00")]), "whole", [3]),
        (pa.array(["3", "x"]), "whole", [3, "x"]),
        (pa.array([9, None]), "number", [9.0, None]),
        (pa.array([9.5, float("nan")]), "number", [9.5, None]),
        (pa.array(["9.5", "x"]), "number", [9.5, "x"]),
        (pa.array([Decimal("12.30"), None]), "money", ["12.30", None]),
        (pa.array([12.3, float("nan")]), "money", ["12.3", None]),
        (pa.array([1200]), "money", ["1200"]),
    ],
)
def test_values_take_the_form_of_their_kind(column: pa.Array, kind: FieldKind, expected: list[Any]) -> None:
    values = plain_values(column, kind, 0)
    assert values == expected
    assert [type(value) for value in values] == [type(value) for value in expected]


@pytest.mark.parametrize("type_", [pa.string(), pa.dictionary(pa.int8(), pa.string()), pa.binary(), pa.null()])
@pytest.mark.parametrize("kind", ["text", "whole", "number", "money", "moment", "day"])
def test_text_may_fill_any_field(type_: pa.DataType, kind: FieldKind) -> None:
    assert unusable_reason(type_, kind) is None


@pytest.mark.parametrize(
    ("type_", "kind"),
    [
        (pa.int64(), "moment"),
        (pa.float64(), "day"),
        (pa.timestamp("us"), "text"),
        (pa.list_(pa.string()), "text"),
        (pa.date32(), "whole"),
        (pa.bool_(), "number"),
    ],
)
def test_a_type_that_could_be_misread_is_refused_and_named(type_: pa.DataType, kind: FieldKind) -> None:
    why = unusable_reason(type_, kind)
    assert why is not None
    assert str(type_) in why


def test_constants_take_the_form_of_their_kind_too() -> None:
    assert plain_constant("3", "whole") == 3
    assert plain_constant("2020-01-31", "day", 1) == "2020-02-01"
    assert plain_constant("login", "text") == "login"

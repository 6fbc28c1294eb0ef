"""Days and moments at the ends of the calendar, without a server."""

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Annotated
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta
from pydantic import TypeAdapter, ValidationError

from scoring.state.calendar import from_day
from service.api.http.day_range import MOST_DAYS, DayRange, Instant
from service.api.http.pagination import decode_token, encode_token
from service.api.http.problems import ProblemError
from service.cli.export import _days

TODAY = date(2026, 3, 5)
offsets = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(timezones=st.one_of(st.just(UTC), offsets)) | st.sampled_from(
    [
        datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-14))),
    ]
)


def days_or_fields(query: DayRange, usual: int) -> tuple[int, int] | list[str]:
    """The days, or the fields that a refusal names."""
    try:
        return query.days(TODAY, usual)
    except ProblemError as refused:
        return [error.field for error in refused.errors]


@given(st.dates() | st.none(), st.dates() | st.none(), st.integers(0, 1000))
def test_a_range_of_days_is_a_refusal_or_an_answer(first: date | None, last: date | None, usual: int) -> None:
    query = DayRange.model_validate({"from": first and str(first), "to": last and str(last)})
    found = days_or_fields(query, usual)
    if isinstance(found, list):
        assert found in (["from"], ["to"])
    else:
        assert 0 <= found[1] - found[0] < max(MOST_DAYS, usual + 1)
        assert from_day(found[0]) <= from_day(found[1]) <= TODAY


def has_a_year_in_utc(moment: datetime) -> bool:
    try:
        moment.astimezone(UTC)
    except OverflowError:
        return False
    return True


@given(moments)
def test_a_moment_in_a_query_or_a_token_is_one_of_utc_or_refused(moment: datetime) -> None:
    token = encode_token((moment, UUID(int=7)))
    if has_a_year_in_utc(moment):
        assert TypeAdapter(Instant).validate_python(moment) == moment
        key = decode_token("page_token", token, tuple[Annotated[datetime, Meta(tz=True)], UUID])
        assert (key[0], key[0].tzinfo) == (moment, UTC)
    else:
        with pytest.raises(ValidationError, match="years 1 to 9999"):
            TypeAdapter(Instant).validate_python(moment)
        with pytest.raises(ProblemError):
            decode_token("page_token", token, tuple[Annotated[datetime, Meta(tz=True)], UUID])


def test_an_export_up_to_the_first_day_of_the_calendar() -> None:
    assert _days(None, datetime.min.replace(tzinfo=UTC)) == {"first": date.min, "last": date.min}

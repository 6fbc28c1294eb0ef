"""Days in queries: ranges of them, and the errors of days that are not known."""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from scoring.state.calendar import from_day, to_day, to_day_text
from service.api.http.problems import FieldError, ProblemError, invalid

MOST_DAYS = 400
_BEGINS_WITH_A_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_LOST_PLUS = re.compile(r"\d\d:\d\d\S* \d\d:?\d\d$")
"""A plus in a query stands for a space."""


def _calendar_day(written: object) -> object:
    return from_day(to_day_text(written)) if isinstance(written, str) else written


CalendarDay = Annotated[date, BeforeValidator(_calendar_day)]
"""A day, written as YYYY-MM-DD. By itself pydantic would accept a count of seconds, too."""


def in_utc(moment: datetime) -> datetime:
    """A moment in UTC, for clocks and databases to compute with; a 422 if it lies outside of UTC's years."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError("instant", "must lie in the years 1 to 9999 of UTC") from None


def _written_instant(written: object) -> object:
    if isinstance(written, str) and _LOST_PLUS.search(written):
        raise PydanticCustomError("plus", "has a space where its offset begins: write + as %2B in a query")
    if isinstance(written, str) and not _BEGINS_WITH_A_DAY.match(written):
        raise ValueError("must be a date and a time with an offset, as 2026-01-31T09:00:00Z")
    return written


BodyInstant = Annotated[AwareDatetime, AfterValidator(in_utc)]
"""A moment in a body."""

Instant = Annotated[BodyInstant, BeforeValidator(_written_instant)]
"""A moment in a query, in the form of RFC 3339: pydantic would accept a count of seconds, too."""


def require_not_future(field: str, day: date, today: date, remedy: str) -> None:
    """422 naming `field` where a day lies in the future."""
    if day > today:
        raise invalid(FieldError(field, f"must be today, {today}, or before; {remedy}"))


def unknown_day(first_day: int) -> ProblemError:
    """The 404 for a day before `first_day` (a day number), the first that is known."""
    return ProblemError(404, f"This account's history begins on {from_day(first_day)}.")


class DayRange(BaseModel):
    """Days from one to another, both included; by default up to today."""

    model_config = ConfigDict(extra="forbid")

    first: Annotated[CalendarDay | None, Field(alias="from", description="A UTC day.")] = None
    last: Annotated[CalendarDay | None, Field(alias="to", description="A UTC day; by default today.")] = None

    def days(self, today: date, usual: int) -> tuple[int, int]:
        """The first and last day; without `from`, the first is `usual` days before the last. Raises a 422 problem."""
        last = self.last or today
        require_not_future("to", last, today, "for the days to come see /health/forecast")
        known = (last - date.min).days  # no calendar goes further back
        first = self.first or last - timedelta(days=min(usual, known))
        if first > last:
            raise invalid(FieldError("from", f"must be on or before to, {last}"))
        if (last - first).days >= MOST_DAYS:
            earliest = last - timedelta(days=MOST_DAYS - 1)
            raise invalid(FieldError("from", f"must be {earliest} or later: {MOST_DAYS} days at once are the most"))
        return to_day(first), to_day(last)

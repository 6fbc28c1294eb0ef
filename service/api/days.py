"""Days in queries: ranges of them, and what to say where there is nothing to tell."""

import re
from datetime import date, timedelta
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from scoring.past import Past
from scoring.windows import from_day, to_day, to_day_text
from service.api.problems import FieldError, ProblemError, invalid

MOST_DAYS = 400
_BEGINS_WITH_A_DAY = re.compile(r"\d{4}-\d\d-\d\d")


def _calendar_day(written: object) -> object:
    return from_day(to_day_text(written)) if isinstance(written, str) else written


CalendarDay = Annotated[date, BeforeValidator(_calendar_day)]
"""A day, written as YYYY-MM-DD. Alone, pydantic would take a count of seconds for one, too."""


def _written_instant(written: object) -> object:
    if isinstance(written, str) and not _BEGINS_WITH_A_DAY.match(written):
        raise ValueError("must be a date and a time with an offset, as 2026-01-31T09:00:00Z")
    return written


Instant = Annotated[AwareDatetime, BeforeValidator(_written_instant)]
"""A moment in a query, written as RFC 3339 has it: pydantic would take a count of seconds for one, too."""


def not_after(field: str, day: date, today: date, remedy: str) -> None:
    """422 naming `field` where a day lies in the future."""
    if day > today:
        raise invalid(FieldError(field, f"must be today, {today}, or before; {remedy}"))


def known_at(past: Past) -> ProblemError:
    """404 for a day before the first that is known."""
    return ProblemError(404, f"This account's history begins on {from_day(past.first_day)}.")


class DayRange(BaseModel):
    """Days from one to another, both included; by default up to today."""

    model_config = ConfigDict(extra="forbid")

    first: Annotated[CalendarDay | None, Field(alias="from", description="A UTC day.")] = None
    last: Annotated[CalendarDay | None, Field(alias="to", description="A UTC day; by default today.")] = None

    def days(self, today: date, usual: int) -> tuple[int, int]:
        """Both day numbers; without `from`, that of `usual` days before the last. 422 names what is wrong."""
        last = self.last or today
        not_after("to", last, today, "for the days to come see /health/forecast")
        first = self.first or last - timedelta(days=usual)
        if first > last:
            raise invalid(FieldError("from", f"must be on or before to, {last}"))
        if (last - first).days >= MOST_DAYS:
            earliest = last - timedelta(days=MOST_DAYS - 1)
            raise invalid(FieldError("from", f"must be {earliest} or later: {MOST_DAYS} days at once are the most"))
        return to_day(first), to_day(last)

"""Events as they are folded, made of envelopes; checks what schemas can't express, such as a score on its scale."""

import math
from datetime import date, datetime
from decimal import Decimal
from sys import intern

from msgspec import UNSET
from xxhash import xxh3_64_intdigest

from scoring.state.calendar import to_day, to_micros_and_day
from scoring.state.events import LOWEST, AttributesEvent, AttributeValue, Event, SurveyEvent, TicketEvent, UsageEvent
from service.messaging.envelope import AttributesData, Envelope, InvalidEventError, SurveyData, TicketData, UsageData
from service.runtime.text import unprintable_problem

MOST_MONEY = 10_000_000_000_000
"""The most revenue per year that an account may have."""
_FIRST_DAY, _LAST_DAY = to_day(date.min), to_day(date.max)


def instant_of(field: str, moment: datetime) -> tuple[int, int]:
    """The instant in microseconds, and its day. A time zone's offset may move a valid time out of the calendar."""
    instant = to_micros_and_day(moment)
    if not _FIRST_DAY <= instant[1] <= _LAST_DAY:
        raise InvalidEventError(field, "lies outside the years 1 to 9999 of UTC")
    return instant


def build_usage(envelope: Envelope[UsageData], at: int, day: int, broker_day: int) -> Event:
    """The event of a usage.recorded."""
    data = envelope.data
    user = None if data.user_id is None else xxh3_64_intdigest(data.user_id.encode())
    feature = intern(data.feature)  # hundreds of thousands of waiting events share a few names
    return UsageEvent(
        envelope.subject,
        at,
        day,
        broker_day,
        feature,
        user,
        data.quantity,
        envelope.id,
        intern(envelope.source),
    )


def build_ticket(envelope: Envelope[TicketData], at: int, _: int, broker_day: int) -> Event:
    """The event of a ticket.changed; raises `InvalidEventError`."""
    data = envelope.data
    return TicketEvent(
        account_id=envelope.subject,
        at=at,
        broker_day=broker_day,
        id=envelope.id,
        ticket_id=data.ticket_id,
        status=data.status,
        priority=data.priority,
        created_at=instant_of("data.created_at", data.created_at)[0],
        solved_at=0 if data.solved_at is None else instant_of("data.solved_at", data.solved_at)[0],
        reopens=data.reopens,
        satisfaction=data.satisfaction or "",
        source=envelope.source,
    )


_MILLION = 1_000_000
_SCALES = {
    "nps": (0, 10 * _MILLION),
    "csat": (LOWEST, 5 * _MILLION),
    "ces": (LOWEST, 7 * _MILLION),
}
"""The default ends of scales, in millionths."""


def _scale(data: SurveyData) -> tuple[int, int]:
    """Both ends of an answer's scale, in millionths; ends that are equal in millionths make no scale."""
    usual = _SCALES[data.survey]
    lowest = usual[0] if data.scale_min is None else round(data.scale_min * _MILLION)
    highest = usual[1] if data.scale_max is None else round(data.scale_max * _MILLION)
    at_fault = "data.scale_min" if data.scale_max is None else "data.scale_max"
    if data.survey == "nps" and (lowest, highest) != usual:
        at_fault = "data.scale_min" if lowest != usual[0] else "data.scale_max"
        raise InvalidEventError(at_fault, "nps is asked on a scale of 0 to 10")
    if lowest >= highest:
        ends = f"is {lowest / _MILLION:g} to {highest / _MILLION:g}"
        raise InvalidEventError(at_fault, f"scale_max must be above scale_min; the scale {ends}")
    return lowest, highest


def build_survey(envelope: Envelope[SurveyData], at: int, _: int, broker_day: int) -> Event:
    """The event of a survey.answered; raises `InvalidEventError`."""
    data = envelope.data
    lowest, highest = _scale(data)
    in_millionths = data.score * _MILLION  # may overflow to infinity
    score = round(in_millionths) if math.isfinite(in_millionths) else highest + 1
    is_whole = data.survey != "nps" or data.score.is_integer()
    if not (lowest <= score <= highest and is_whole):
        kind = "a whole number, " if data.survey == "nps" else ""
        span = f"{lowest / _MILLION:g} to {highest / _MILLION:g}"
        raise InvalidEventError("data.score", f"must be {kind}{span} for {data.survey}")
    known = data.respondent_id is not None
    respondent = f"respondent:{data.respondent_id}" if known else f"response:{data.response_id}"
    return SurveyEvent(
        account_id=envelope.subject,
        at=at,
        broker_day=broker_day,
        id=envelope.id,
        survey=data.survey,
        respondent=xxh3_64_intdigest(respondent.encode()),
        score=score,
        scale_max=highest,
        scale_min=lowest,
        source=envelope.source,
    )


_CENT = Decimal("0.01")
_ZERO = Decimal(0)


def build_attributes(envelope: Envelope[AttributesData], at: int, _: int, broker_day: int) -> Event:
    """The event of an account.changed; raises `InvalidEventError`."""
    values: dict[str, AttributeValue] = {}
    for name in AttributesData.__struct_fields__:
        value = getattr(envelope.data, name)
        if value is UNSET:
            continue
        if isinstance(value, str) and (problem := unprintable_problem(value)) is not None:
            raise InvalidEventError(f"data.{name}", problem)
        if isinstance(value, Decimal) and not (value.is_finite() and 0 <= value <= MOST_MONEY):
            raise InvalidEventError(f"data.{name}", f"must be 0 to {MOST_MONEY:,}")
        values[name] = _canonical(value)
    return AttributesEvent(envelope.subject, at, broker_day, envelope.id, values, envelope.source)


def _canonical(value: str | int | Decimal | date | None) -> AttributeValue:
    if isinstance(value, Decimal):
        return str(value.quantize(_CENT) + _ZERO)  # adding zero turns -0 into 0
    return value.isoformat() if isinstance(value, date) else value

"""Events as a person would describe them: the actor, the action, and the number of days before today.

A record reaches the broker on its event's day, unless that is tomorrow.
"""

from itertools import count
from zlib import crc32

from scoring.state.account_state import AccountState, fold
from scoring.state.calendar import MICROSECONDS_PER_HOUR, from_day, start_of
from scoring.state.events import (
    AttributesEvent,
    AttributeValue,
    Event,
    SurveyEvent,
    SurveyKind,
    TicketEvent,
    UsageEvent,
)

ACCOUNT = "acme"
TODAY = 20_500
MILLION = 1_000_000
_ids = count(1_000)


def noon(ago: int) -> int:
    """Noon, a number of days ago."""
    return start_of(TODAY - ago) + 12 * MICROSECONDS_PER_HOUR


def calendar(ago: int) -> str:
    """A day as attributes write it; negative is in the future."""
    return from_day(TODAY - ago).isoformat()


def used(ago: int, feature: str = "login", user: str | None = "ann", times: int = 1) -> UsageEvent:
    """An event of a used feature."""
    day = TODAY - ago
    return UsageEvent(ACCOUNT, noon(ago), day, _broker_day(ago), feature, None if user is None else _hash(user), times)


def ticket(
    ticket_id: str,
    status: str,
    created: int,
    *,
    ago: int = 0,
    priority: str = "normal",
    solved: int | None = None,
    reopens: int = 0,
    satisfaction: str = "",
) -> TicketEvent:
    """A ticket in its state `ago` days ago, created and maybe solved on earlier days."""
    return TicketEvent(
        ACCOUNT,
        noon(ago),
        _broker_day(ago),
        f"e-{next(_ids)}",
        ticket_id,
        status,
        priority,
        noon(created),
        0 if solved is None else noon(solved),
        reopens,
        satisfaction,
    )


def answered(
    survey: SurveyKind, score: float, ago: int, who: str = "ann", scale_max: int = 10, scale_min: int = 1
) -> SurveyEvent:
    """An event of a survey's answer."""
    return SurveyEvent(
        ACCOUNT,
        noon(ago),
        _broker_day(ago),
        f"e-{next(_ids)}",
        survey,
        _hash(who),
        round(score * MILLION),
        scale_max * MILLION,
        scale_min * MILLION,
    )


def with_attributes(ago: int = 0, **values: AttributeValue) -> AttributesEvent:
    """An event that sets the account's attributes, or clears them with None."""
    return AttributesEvent(ACCOUNT, noon(ago), _broker_day(ago), f"e-{next(_ids)}", values)


def state_of(*events: Event) -> AccountState:
    """The state after the events, one by one."""
    state = AccountState()
    for event in events:
        fold(state, [event])
    return state


def _hash(person: str) -> int:
    return crc32(person.encode())


def _broker_day(ago: int) -> int:
    return min(TODAY - ago, TODAY)

"""Events: validated facts about one account.

Times are integer microseconds since 1970-01-01 UTC (`at`); `broker_day` is the UTC day on which the broker received the
record. Retention is decided by it, so that a replay decides the same. `source` and `id` identify an event. Users and
respondents are 64-bit hashes: a state holds no personal data, and every entry has the same size.
"""

from typing import Final, Literal

from msgspec import Struct

SurveyKind = Literal["nps", "csat", "ces"]
OPEN_STATUSES = frozenset({"new", "open", "pending", "hold"})
SOLVED_STATUSES = frozenset({"solved", "closed"})

ATTRIBUTES = (
    "name",
    "segment",
    "stage",
    "owner",
    "seats",
    "arr",
    "started_on",
    "renews_on",
    "churned_on",
    "parent_id",
)
"""The attributes of an account; dates and amounts are stored as text, seats as an integer."""

AttributeValue = str | int | None


LOWEST: Final = 1_000_000
"""The default lower end of an answer's scale, in millionths."""


class UsageEvent(Struct, frozen=True, gc=False):
    """A feature was used `quantity` times; `user` is the hash of the user id, if one was sent."""

    account_id: str
    at: int
    day: int
    broker_day: int
    feature: str
    user: int | None
    quantity: int
    id: str = ""
    source: str = ""


class TicketEvent(Struct, frozen=True, gc=False):
    """A snapshot of a support ticket; 0 and "" stand for an unknown time or rating."""

    account_id: str
    at: int
    broker_day: int
    id: str
    ticket_id: str
    status: str
    priority: str
    created_at: int
    solved_at: int = 0
    reopens: int = 0
    satisfaction: str = ""
    source: str = ""


class SurveyEvent(Struct, frozen=True, gc=False):
    """An answer to a survey; `score` and the ends of its scale are millionths, so that the state holds no floats."""

    account_id: str
    at: int
    broker_day: int
    id: str
    survey: SurveyKind
    respondent: int
    score: int
    scale_max: int
    scale_min: int = LOWEST
    source: str = ""


class AttributesEvent(Struct, frozen=True, gc=False):
    """Attributes of the account that were set, or cleared with None; the others stay."""

    account_id: str
    at: int
    broker_day: int
    id: str
    values: dict[str, AttributeValue]
    source: str = ""


Event = UsageEvent | TicketEvent | SurveyEvent | AttributesEvent

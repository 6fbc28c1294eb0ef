"""The events of customers, as CloudEvents; each change of a support ticket is an event with the whole ticket."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

import msgspec
from msgspec import Struct

from service.runtime.settings import Signal

SOURCE = "account-health/demo"
TYPES: dict[Signal, str] = {
    "usage": "usage.recorded",
    "ticket": "ticket.changed",
    "survey": "survey.answered",
    "account": "account.changed",
}
FEATURES = ("login", "dashboards", "reports", "exports", "search", "automations", "integrations", "api", "mobile")

_encode = msgspec.json.Encoder().encode


class DemoEvent(Struct, frozen=True, gc=False):
    """One event. `id` makes it the same event when it is sent again."""

    signal: Signal
    id: str
    account_id: str
    at: datetime
    data: dict[str, Any]

    def encode(self, *, backfill: bool = False) -> bytes:
        """The record's value; `backfill` marks loaded history."""
        envelope: dict[str, Any] = {
            "specversion": "1.0",
            "id": self.id,
            "source": SOURCE,
            "type": TYPES[self.signal],
            "subject": self.account_id,
            "time": self.at,
            "data": self.data,
        }
        if backfill:
            envelope["backfill"] = True
        return _encode(envelope)


def user_id(account_id: str, number: int) -> str:
    """The id of one of a customer's people."""
    return f"{account_id}/user-{number}"


def used(event_id: str, account_id: str, at: datetime, user: int, feature: str, quantity: int = 1) -> DemoEvent:
    """An event of a used feature."""
    data = {"feature": feature, "user_id": user_id(account_id, user), "quantity": quantity}
    return DemoEvent("usage", event_id, account_id, at, data)


def nps_answered(event_id: str, account_id: str, at: datetime, respondent: int, score: int) -> DemoEvent:
    """An event of a survey's answer: how likely one of the customer's people would recommend the product."""
    respondent_id = user_id(account_id, respondent)
    data = {"survey": "nps", "response_id": event_id, "respondent_id": respondent_id, "score": score}
    return DemoEvent("survey", event_id, account_id, at, data)


Priority = Literal["low", "normal", "high", "urgent"]


@dataclass(frozen=True, slots=True)
class DemoTicket:
    """A ticket as it stands."""

    id: str
    account_id: str
    priority: Priority
    created_at: datetime
    status: Literal["new", "open", "solved"] = "new"
    solved_at: datetime | None = None
    reopens: int = 0
    satisfaction: Literal["good", "bad"] | None = None

    def solved(self, at: datetime, satisfaction: Literal["good", "bad"] | None = None) -> "DemoTicket":
        """The ticket, solved."""
        return replace(self, status="solved", solved_at=at, satisfaction=satisfaction)

    def event(self, at: datetime) -> DemoEvent:
        """The event of its current state. A ticket changes at most once at a time."""
        data: dict[str, Any] = {
            "ticket_id": self.id,
            "status": self.status,
            "priority": self.priority,
            "created_at": self.created_at,
            "reopens": self.reopens,
        }
        if self.solved_at:
            data["solved_at"] = self.solved_at
        if self.satisfaction:
            data["satisfaction"] = self.satisfaction
        return DemoEvent("ticket", f"{self.id}:{self.status}:{at.timestamp():.3f}", self.account_id, at, data)

"""The events that customers cause, as CloudEvents."""

from datetime import datetime
from typing import Any

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
    """One of a customer's people."""
    return f"{account_id}/user-{number}"


def used(event_id: str, account_id: str, at: datetime, user: int, feature: str, quantity: int = 1) -> DemoEvent:
    """Somebody used a feature."""
    data = {"feature": feature, "user_id": user_id(account_id, user), "quantity": quantity}
    return DemoEvent("usage", event_id, account_id, at, data)


def nps_answered(event_id: str, account_id: str, at: datetime, respondent: int, score: int) -> DemoEvent:
    """One of the people who are asked says how likely they would recommend the product."""
    respondent_id = user_id(account_id, respondent)
    data = {"survey": "nps", "response_id": event_id, "respondent_id": respondent_id, "score": score}
    return DemoEvent("survey", event_id, account_id, at, data)

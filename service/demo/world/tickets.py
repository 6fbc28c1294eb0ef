"""Support tickets of the demo: each change is an event that holds the whole ticket."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from service.demo.world.events import DemoEvent

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
        """The event that tells of it. A ticket changes at most once at a time."""
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

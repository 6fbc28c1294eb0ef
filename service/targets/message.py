"""What every target is built from, one alert, and what it makes of it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
from msgspec import Struct

TEST = "test"
"""What stands in place of a rule's name in a test message."""


class DriverFact(Struct, frozen=True):
    """A measure that moved the score, by so many points."""

    measure: str
    delta: float


class OverrideFact(Struct, frozen=True):
    """A score or a band set by hand: by whom and why, and whether that is over."""

    author: str
    reason: str
    score: float | None = None
    band: str | None = None
    ended: bool = False


class Episode(Struct, frozen=True):
    """How it began, which stays the same until it is over. `id` is that of the alert that told it."""

    id: str
    began_at: datetime
    rule: str
    rule_id: str | None = None
    band: str | None = None


class AlertFacts(Struct, frozen=True):
    """An alert's `data`, read. Where it is about many accounts, or none, most of it is None; `digest`, `source` or
    `endpoint` says more.
    """

    account_id: str | None = None
    account_name: str | None = None
    rule: str = ""
    state: str = ""
    score: float | None = None
    previous_score: float | None = None
    band: str | None = None
    previous_band: str | None = None
    threshold: float | None = None
    drivers: list[DriverFact] = []
    override: OverrideFact | None = None
    episode: Episode | None = None
    churned_on: str | None = None
    playbook_url: str | None = None
    sequence: int | None = None
    url: str = ""
    digest: dict[str, Any] | None = None
    source: dict[str, Any] | None = None
    endpoint: dict[str, Any] | None = None

    @property
    def is_test(self) -> bool:
        """Whether it is a message to try an endpoint with; a rule of that name has alerts with a sequence."""
        return self.rule == TEST and self.sequence is None and self.account_id is None


@dataclass(frozen=True, slots=True)
class Message:
    """An alert as it was stored: `data` is the JSON text of the object that webhooks send as `data`.

    `link` leads people to the account; it is empty where there is no page for that.
    """

    id: UUID
    type: str
    timestamp: datetime
    data: str
    link: str = ""

    @property
    def facts(self) -> AlertFacts:
        """`data`, read."""
        return msgspec.json.decode(self.data, type=AlertFacts)

    @property
    def data_with_link(self) -> Any:
        """`data` as programs are sent it: its `url` is the link for people, if there is one."""
        data = msgspec.json.decode(self.data)
        return {**data, "url": self.link} if self.link else data


@dataclass(frozen=True, slots=True)
class Body:
    """What goes over the wire, and is signed byte for byte. `path` and `query` are appended to the endpoint's own."""

    content: bytes
    content_type: str = "application/json"
    method: Literal["GET", "POST", "PATCH"] = "POST"
    path: str = ""
    query: str = ""


class NoOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """The options of a target that needs nothing but the URL."""

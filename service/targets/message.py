"""The input of every target, one alert, and its output, a body."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
from msgspec import Struct

TEST = "test"
"""The text in place of a rule's name in a test message."""


class DriverFact(Struct, frozen=True):
    """A measure that moved the score, and by how many points."""

    measure: str
    delta: float


class OverrideFact(Struct, frozen=True):
    """A score or a band set by hand: by whom and why, and whether it has ended."""

    author: str
    reason: str
    score: float | None = None
    band: str | None = None
    ended: bool = False


class Episode(Struct, frozen=True):
    """The beginning of an episode, which stays the same until it ends. `id` is that of the alert that reported it."""

    id: str
    began_at: datetime
    rule: str
    rule_id: str | None = None
    band: str | None = None


class AlertFacts(Struct, frozen=True):
    """An alert's `data`, decoded. For alerts about many accounts, or none, most fields are None; `digest`, `source`
    or `endpoint` has the details.
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
        """True if the message is only a test of an endpoint; alerts of a rule with that name have a sequence."""
        return self.rule == TEST and self.sequence is None and self.account_id is None


@dataclass(frozen=True, slots=True)
class Message:
    """An alert as stored: `data` is the JSON text of the object that webhooks send as `data`.

    `link` leads people to the account; it is empty if there is no page for it.
    """

    id: UUID
    type: str
    timestamp: datetime
    data: str
    link: str = ""

    @property
    def facts(self) -> AlertFacts:
        """`data`, decoded."""
        return msgspec.json.decode(self.data, type=AlertFacts)

    @property
    def data_with_link(self) -> Any:
        """`data` as programs get it: its `url` is the link for people, if there is one."""
        data = msgspec.json.decode(self.data)
        return {**data, "url": self.link} if self.link else data


@dataclass(frozen=True, slots=True)
class Body:
    """The bytes that are sent, and signed as they are. `path` and `query` are appended to the endpoint's own."""

    content: bytes
    content_type: str = "application/json"
    method: Literal["GET", "POST", "PATCH"] = "POST"
    path: str = ""
    query: str = ""


class NoOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """The options of a target that needs nothing but the URL."""

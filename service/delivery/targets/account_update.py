"""What a CRM is told about an account: its score and band, and since when. A state, whatever alert tells of it."""

from dataclasses import dataclass
from datetime import UTC

from service.delivery.targets.message import Message
from service.errors import HealthError


@dataclass(frozen=True, slots=True)
class AccountUpdate:
    """An account's health as an alert has it; `changed_at` is ISO 8601 in UTC, to the millisecond."""

    account_id: str
    score: float | None
    band: str | None
    changed_at: str


def account_update(message: Message) -> AccountUpdate:
    """The state that a message tells; raises `HealthError` if it is about no single account."""
    facts = message.facts
    if facts.account_id is None:
        raise HealthError("the message is about no single account", "Leave health.digest out of the event types")
    # Not microseconds: CRMs know milliseconds, and some refuse more digits.
    changed_at = message.timestamp.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return AccountUpdate(facts.account_id, facts.score, facts.band, changed_at)

"""What a CRM is told about an account: its score and band, and since when. A state, whatever alert tells of it."""

from dataclasses import dataclass
from datetime import UTC

from service.runtime.errors import HealthError
from service.targets.message import Message

TEST_ACCOUNT, TEST_NAME = "account-health-test", "account-health test"
"""What a test message writes: a record of its own, which people can tell and delete."""


@dataclass(frozen=True, slots=True)
class AccountUpdate:
    """An account's health as an alert has it; `changed_at` is ISO 8601 in UTC, to the millisecond.

    A `name` is given for the record that a test writes, and for no account: those have theirs in the CRM.
    """

    account_id: str
    score: float | None
    band: str | None
    changed_at: str
    name: str | None = None


def account_update(message: Message) -> AccountUpdate:
    """The state that a message tells; raises `HealthError` if it is about no single account and no test."""
    facts = message.facts
    account_id, name = (TEST_ACCOUNT, TEST_NAME) if facts.is_test else (facts.account_id, None)
    if account_id is None:
        raise HealthError("the message is about no single account", "Leave health.digest out of the event types")
    # Not microseconds: CRMs know milliseconds, and some refuse more digits.
    changed_at = message.timestamp.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return AccountUpdate(account_id, facts.score, facts.band, changed_at, name)

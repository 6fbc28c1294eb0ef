"""The state of an account for a CRM: its score and band, and since when, whatever alert reports it."""

from dataclasses import dataclass
from datetime import UTC

from service.runtime.errors import HealthError
from service.targets.message import Message

TEST_ACCOUNT, TEST_NAME = "account-health-test", "account-health test"
"""The record that a test message writes: one of its own, which people can recognise and delete."""


@dataclass(frozen=True, slots=True)
class AccountUpdate:
    """An account's health from an alert; `changed_at` is ISO 8601 in UTC, to the millisecond.

    Only the record of a test message gets a `name`: accounts have theirs in the CRM.
    """

    account_id: str
    score: float | None
    band: str | None
    changed_at: str
    name: str | None = None


def account_update(message: Message) -> AccountUpdate:
    """The state in a message; raises `HealthError` unless it is about a single account, or a test."""
    facts = message.facts
    account_id, name = (TEST_ACCOUNT, TEST_NAME) if facts.is_test else (facts.account_id, None)
    if account_id is None:
        raise HealthError("the message isn't about a single account", "Leave health.digest out of the event types")
    # Not microseconds: CRMs store milliseconds, and some refuse more digits.
    changed_at = message.timestamp.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return AccountUpdate(account_id, facts.score, facts.band, changed_at, name)

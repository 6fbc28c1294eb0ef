"""An endpoint's signing secrets: one, or two during a rotation.

The sealed column holds them as text, newest first, one per line: the secret, and after a space the time until which it
still signs, if it is being replaced. A single secret is a keyring too.
"""

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class SigningSecret:
    """One `whsec_…` secret, and the time at which it stops signing; None if that is not yet known."""

    text: str = field(repr=False)
    until: datetime | None = None


Keyring = tuple[SigningSecret, ...]


def rotate(keyring: Keyring, fresh: str, now: datetime, until: datetime) -> Keyring:
    """The keyring with `fresh` in front; the older secrets stop at `until`, or sooner if that was set before."""
    older = (SigningSecret(old.text, min(old.until or until, until)) for old in keyring if _is_active(old, now))
    return (SigningSecret(fresh), *older)


def active_secrets(keyring: Keyring, now: datetime) -> list[str]:
    """The secrets to sign with at `now`, newest first."""
    return [secret.text for secret in keyring if _is_active(secret, now)]


def dump(keyring: Keyring) -> bytes:
    """The bytes to seal."""
    lines = (f"{each.text} {each.until.isoformat()}" if each.until else each.text for each in keyring)
    return "\n".join(lines).encode()


def load(opened: bytes) -> Keyring:
    """Parse the keyring that `dump` wrote."""
    return tuple(_read(line) for line in opened.decode().splitlines())


def _read(line: str) -> SigningSecret:
    text, _, until = line.partition(" ")
    return SigningSecret(text, datetime.fromisoformat(until) if until else None)


def _is_active(secret: SigningSecret, now: datetime) -> bool:
    return secret.until is None or now < secret.until

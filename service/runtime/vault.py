"""Encryption of secrets at rest, with a key that the database doesn't have."""

import base64
import secrets

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import SecretStr

from service.runtime.errors import HealthError

SHORTEST_KEY = 16
WEBHOOK_SECRET_PREFIX = "whsec_"  # noqa: S105 - the prefix, which every receiver's library knows

_PURPOSE = b"account-health: secrets at rest, v1"
_GENERATE = (
    "Set it to a random string of 16 or more characters, the same in every process and kept apart from the database: "
    'python3 -c "import secrets; print(secrets.token_urlsafe(32))"'
)


class Vault:
    """Seals and opens small secrets with the keys of `HEALTH_ENCRYPTION_KEY`.

    The setting is one key or several, separated by commas: the first seals, all open. To rotate, put the new key first.
    A vault without a key can be built, but every use of it raises `HealthError`; so a process that never handles a
    secret needs no key.
    """

    def __init__(self, keys: SecretStr | None) -> None:
        """Derive the keys; raises `HealthError` if one of them is too short to be random."""
        parts = [part.strip() for part in keys.get_secret_value().split(",")] if keys else []
        texts = [part for part in parts if part]
        if any(len(text) < SHORTEST_KEY for text in texts):
            raise HealthError(f"HEALTH_ENCRYPTION_KEY holds a key shorter than {SHORTEST_KEY} characters", _GENERATE)
        self._keys = [_derive(text) for text in texts]

    def seal(self, secret: bytes) -> bytes:
        """Encrypt and authenticate; sealing the same bytes twice gives different results."""
        return self._ring()[0].encrypt(secret)

    def open(self, sealed: bytes) -> bytes:
        """Decrypt; raises `HealthError` if none of the keys fits or the bytes were tampered with."""
        try:
            return MultiFernet(self._ring()).decrypt(sealed)
        except InvalidToken:
            raise HealthError(
                "A stored secret can't be opened with HEALTH_ENCRYPTION_KEY",
                "Append the key it was sealed with, after a comma",
            ) from None

    def is_current(self, sealed: bytes) -> bool:
        """True if the bytes were sealed with the first key."""
        try:
            self._ring()[0].decrypt(sealed)
        except InvalidToken:
            return False
        return True

    def reseal(self, sealed: bytes) -> bytes:
        """The same secret sealed with the first key; raises `HealthError` as `open` does."""
        return self.seal(self.open(sealed))

    def _ring(self) -> list[Fernet]:
        if not self._keys:
            raise HealthError("HEALTH_ENCRYPTION_KEY is not set", _GENERATE)
        return self._keys


def new_webhook_secret() -> str:
    """A fresh signing secret in the form of the Standard Webhooks: `whsec_` and the base64 of 24 random bytes."""
    return WEBHOOK_SECRET_PREFIX + base64.b64encode(secrets.token_bytes(24)).decode()


def _derive(text: str) -> Fernet:
    # HKDF and no slow hash: the setting is required to be random, not a password that people remember.
    key = HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(text.encode())
    return Fernet(base64.urlsafe_b64encode(key))

"""Signatures by the Standard Webhooks specification, so that any of its libraries can verify them."""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime

from service.runtime.vault import WEBHOOK_SECRET_PREFIX


def sign(secrets: Sequence[str], message_id: str, timestamp: datetime, body: bytes) -> dict[str, str]:
    """The three webhook headers; one signature per secret, so that receivers can switch over while a secret rotates.

    `timestamp` is the time of this attempt: receivers refuse old ones to prevent replays, so a retry needs a new one.
    Raises `ValueError`, which doesn't contain the secret, if there is none or one is not `whsec_` and base64.
    """
    if not secrets:
        raise ValueError("nothing to sign with")
    seconds = int(timestamp.timestamp())
    content = f"{message_id}.{seconds}.".encode() + body
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(seconds),
        "webhook-signature": " ".join(f"v1,{_signature(_key(secret), content)}" for secret in secrets),
    }


def _signature(key: bytes, content: bytes) -> str:
    return base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(WEBHOOK_SECRET_PREFIX), validate=True)
    except ValueError:
        key = b""
    if not key:
        raise ValueError("a webhook secret is not whsec_ and base64")
    return key

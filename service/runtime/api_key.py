"""API keys: their form, their scopes, and the digest that is stored of them."""

import hashlib
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Literal, get_args

Scope = Literal["read", "write", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
"""Each scope includes the ones before it."""
_GRANTING = {scope: frozenset(SCOPES[index:]) for index, scope in enumerate(SCOPES)}

PREFIX = "hk_"
_RANDOM_BYTES = 32
_HINT_LENGTH = len(PREFIX) + 4


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made. `text` is shown once; `digest` and `hint` are stored."""

    text: str = field(repr=False)
    digest: bytes
    hint: str


def new_key() -> NewKey:
    """A fresh key: `hk_` and 32 random bytes."""
    text = PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
    return NewKey(text, digest_of(text), text[:_HINT_LENGTH])


def digest_of(text: str) -> bytes:
    """The digest by which a key is found. A plain SHA-256 is enough: 32 random bytes can't be guessed."""
    return hashlib.sha256(text.encode(errors="replace")).digest()


def allows(granted: Collection[str], wanted: Scope) -> bool:
    """True if the scopes of a key include `wanted`: admin implies write, and write implies read."""
    return not _GRANTING[wanted].isdisjoint(granted)

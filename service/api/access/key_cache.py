"""A cache of API keys."""

import time
from collections.abc import Callable
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from service.runtime.api_key import digest_of
from service.runtime.cached import Cached
from service.storage.access import api_keys
from service.storage.access.api_keys import StoredApiKey
from service.storage.database.retry import is_transient

KEEP_SECONDS = 10.0
"""The seconds for which a key that was deleted elsewhere may still work here."""

KEEP_IN_OUTAGE_SECONDS = 300.0
"""The seconds for which a valid key is accepted while Postgres is away: metrics and intake need nothing else of it."""

MOST_KEPT = 10_000


class KeyCache:
    """Finds keys by their text, and caches the ones it found for `KEEP_SECONDS`. Wrong keys aren't cached.

    A look-up also notes that the key is in use, so `last_used_at` costs a write a minute, not one a request.
    """

    def __init__(
        self, engine: AsyncEngine, clock: Callable[[], datetime], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """`clock` tells if a key has expired, `monotonic` how long it has been cached."""
        self._engine = engine
        self._clock = clock
        self._monotonic = monotonic
        self._cached: dict[bytes, Cached[StoredApiKey]] = {}

    async def find(self, text: str) -> StoredApiKey | None:
        """The key, if there is one with this text that has not expired."""
        key = await self._find(digest_of(text))
        return None if key is None or _has_expired(key, self._clock()) else key

    def was_found(self, text: str) -> bool:
        """True if the key existed when it was last looked up here, however long ago."""
        return digest_of(text) in self._cached

    def forget(self) -> None:
        """Look every key up again."""
        for cached in self._cached.values():
            cached.expire()

    async def _find(self, digest: bytes) -> StoredApiKey | None:
        cached = self._cached.get(digest)
        if cached is not None and not cached.is_due():
            return cached.value
        try:
            return await self._look_up(digest)
        except Exception as error:
            if cached is None or cached.age > KEEP_IN_OUTAGE_SECONDS or not is_transient(error):
                raise
            return cached.value

    async def _look_up(self, digest: bytes) -> StoredApiKey | None:
        async with self._engine.begin() as connection:
            key = await api_keys.find(connection, digest)
            if key is not None:
                await api_keys.mark_used(connection, key, self._clock())
        self._cached.pop(digest, None)
        if key is not None:
            if len(self._cached) >= MOST_KEPT:
                self._cached.clear()
            self._cached[digest] = Cached(key, KEEP_SECONDS, self._monotonic)
        return key


def _has_expired(key: StoredApiKey, now: datetime) -> bool:
    return key.expires_at is not None and key.expires_at <= now

"""Rate limits of keys, and of addresses that send wrong keys. Each process counts for itself, in memory: asking
Postgres would cost more than most answers do.
"""

import math
import time
from collections.abc import Callable, MutableMapping
from ipaddress import IPv6Address, ip_address
from typing import Any

from service.api.http.problems import ProblemError
from service.api.middleware.request_log import add_headers
from service.runtime.rate_limit import Rate, RateLimiter
from service.storage.access.api_keys import StoredApiKey

BURST_SECONDS = 1.0
"""The seconds' worth of a key's rate that may come at once."""

MOST_KEYS = 10_000
MOST_ADDRESSES = 10_000
_SITE_BITS = 64
"""The leading bits of an IPv6 address that a provider gives to one customer, who may use every address below them."""

Scope = MutableMapping[str, Any]


class KeyRates:
    """Requests a second by each key."""

    def __init__(self, per_second: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        """A key may send `per_second` requests on average, and a second's worth of them at once; 0 is no limit."""
        self._monotonic = monotonic
        self._owing = (
            RateLimiter(Rate(per_second, max(per_second * BURST_SECONDS, 1.0)), MOST_KEYS) if per_second else None
        )
        if self._owing is not None:
            rate = self._owing.rate
            policy = f'"key";q={math.floor(rate.burst)};w={math.ceil(rate.window)}'
            self._policy = (b"ratelimit-policy", policy.encode())

    def admit(self, scope: Scope, key: StoredApiKey) -> None:
        """Count a request, and have its answer say what is left; raises a 429 problem if it has to wait.

        Refused requests don't count: a caller at twice the rate gets half of the answers.
        """
        if self._owing is None:
            return
        now = self._monotonic()
        owed = self._owing.owed(key.id, now)
        wait = self._owing.rate.wait(owed)
        if not wait:
            owed = self._owing.charge(key.id, now)
        left = f'"key";r={self._owing.rate.allowance(owed)};t={math.ceil(owed)}'
        add_headers(scope, self._policy, (b"ratelimit", left.encode()))
        if wait:
            raise _too_many("This key sends too many requests: see RateLimit-Policy.", wait)


class WrongKeys:
    """Wrong keys, counted by the address that they come from: guessing is slow, and costs Postgres little."""

    def __init__(self, per_minute: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        """An address may send `per_minute` wrong keys; 0 is no limit."""
        self._monotonic = monotonic
        self._owing = RateLimiter(Rate(per_minute / 60, per_minute), MOST_ADDRESSES) if per_minute else None

    def admit(self, client: tuple[str, int] | None) -> None:
        """Raises a 429 problem for an address that sent many wrong keys."""
        if self._owing is None:
            return
        owed = self._owing.owed(_site(client), self._monotonic())
        if wait := self._owing.rate.wait(owed):
            raise _too_many("Too many wrong keys came from this address.", wait)

    def note(self, client: tuple[str, int] | None) -> None:
        """Count a wrong key from an address."""
        if self._owing is not None:
            self._owing.charge(_site(client), self._monotonic())


def _site(client: tuple[str, int] | None) -> object:
    host = client[0] if client else ""
    try:
        address = ip_address(host)
    except ValueError:  # a socket file, or an arbitrary string from a trusted proxy
        return host
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or int(address) >> _SITE_BITS
    return address


def _too_many(detail: str, wait: float) -> ProblemError:
    return ProblemError(429, detail, headers={"Retry-After": str(math.ceil(wait))})

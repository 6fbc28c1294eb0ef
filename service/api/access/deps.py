"""Dependencies of handlers: the process's engine, publisher, clock and so on, in one object."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncEngine

from service.api.access.key_cache import KeyCache
from service.api.access.rate_limits import KeyRates, WrongKeys
from service.evaluation.policy import PolicyCache
from service.messaging.publisher import Publisher
from service.runtime.errors import HealthError
from service.runtime.settings import Settings
from service.runtime.vault import Vault
from service.storage.accounts.score_reader import ScoreReader
from service.storage.database.clock_check import REMEDY

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Context:
    """The process's shared objects. `reads` is the engine without transactions, for a single statement or two; `scores`
    bypasses it, for the most frequent query.
    """

    settings: Settings
    engine: AsyncEngine
    reads: AsyncEngine
    scores: ScoreReader
    publisher: Publisher
    clock: Clock
    clock_trouble: Callable[[], str]
    clock_difference: Callable[[], str]
    policies: PolicyCache
    keys: KeyCache
    rates: KeyRates
    wrong_keys: WrongKeys
    vault: Vault


async def _context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


Api = Annotated[Context, Depends(_context)]


async def _require_clock(api: Api) -> None:
    if trouble := api.clock_trouble():
        raise HealthError(f"Nothing that depends on the day can be written now: {trouble}", REMEDY)


RIGHT_CLOCK = [Depends(_require_clock)]
"""The dependency of routes that write a day: 503 while this process's clock is too far from the database's."""

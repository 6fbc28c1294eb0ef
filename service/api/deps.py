"""What handlers are given: the process's engine, publisher, clock and so on, in one object."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncEngine

from service.api.known_keys import KnownKeys
from service.api.rates import KeyRates, WrongKeys
from service.policy import PolicyCache
from service.publishing import Publisher
from service.secrets import Vault
from service.settings import Settings
from service.storage.score_reads import ScoreReader

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Context:
    """The process's own. `reads` is the engine without transactions, for a single statement or two; `scores` goes past
    it, for the one that is asked for most.
    """

    settings: Settings
    engine: AsyncEngine
    reads: AsyncEngine
    scores: ScoreReader
    publisher: Publisher
    clock: Clock
    policies: PolicyCache
    keys: KnownKeys
    rates: KeyRates
    wrong_keys: WrongKeys
    vault: Vault


async def _context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


Api = Annotated[Context, Depends(_context)]

"""What the sweeper judges: accounts that are due, and all of them anew after a change of scorecards or rules."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from consumers.sweep.account_batches import AccountBatches, BatchAttempt
from scoring.state.events import Event
from service.evaluation.evaluate import advance_accounts
from service.evaluation.policy import PolicyCache
from service.evaluation.reevaluation import carry_on
from service.observability import metrics
from service.runtime.settings import Settings
from service.storage.accounts import scores
from service.storage.policy import reevaluations
from service.storage.policy.reevaluations import RunningReevaluation

log = structlog.get_logger(__name__)


def sweep_batches(settings: Settings, waiting: Callable[[str], None] = lambda _: None) -> AccountBatches:
    """Batches of accounts that are due."""
    return AccountBatches("sweeping", settings.sweep_batch, metrics.SWEPT, waiting)


def reevaluation_batches(settings: Settings, waiting: Callable[[str], None] = lambda _: None) -> AccountBatches:
    """Batches of accounts that are judged anew."""
    return AccountBatches("judging all accounts anew", settings.sweep_batch, metrics.REEVALUATED, waiting)


@dataclass(frozen=True, slots=True)
class DueAccounts:
    """The accounts that are due by `now`."""

    policies: PolicyCache
    base_url: str
    now: datetime

    async def judge(self, connection: AsyncConnection, attempt: BatchAttempt) -> int:
        """Judge those that have been due for longest."""
        policy = await self.policies.in_force(connection)
        due = await scores.claim_due(connection, self.now, attempt.limit, attempt.without)
        if not due:
            return 0
        attempt.claimed += due
        nothing: dict[str, list[Event]] = {account_id: [] for account_id in due}
        outcome = await advance_accounts(connection, nothing, policy, self.now, base_url=self.base_url)
        log.debug("swept", accounts=len(due), alerts=outcome.alerts)
        return len(due)

    async def put_off(self, connection: AsyncConnection, account_id: str, until: datetime) -> bool:
        """Have it be due later."""
        return await scores.postpone(connection, account_id, self.now, until)

    async def leave(self, connection: AsyncConnection, account_id: str) -> None:
        """Nothing: it stays due, and is passed over."""


@dataclass(slots=True)
class AllAccounts:
    """All accounts, in the order of their ids, from where the re-evaluation under way has come to."""

    policies: PolicyCache
    base_url: str
    now: datetime
    _tried: RunningReevaluation | None = field(default=None, init=False)

    async def judge(self, connection: AsyncConnection, attempt: BatchAttempt) -> int:
        """Judge those that follow, without looking at when they are due."""
        policy = await self.policies.in_force(connection)
        self._tried = await reevaluations.lock_current(connection)
        if self._tried is None:
            return 0
        return await carry_on(
            connection,
            self._tried,
            policy,
            self.now,
            limit=attempt.limit,
            base_url=self.base_url,
            claimed=attempt.claimed,
        )

    async def put_off(self, connection: AsyncConnection, account_id: str, until: datetime) -> bool:
        """Go on behind it; the sweep judges it by what is in force then."""
        if not await self._go_past(connection, account_id):
            return False
        await scores.postpone(connection, account_id, self.now, until)
        return True

    async def leave(self, connection: AsyncConnection, account_id: str) -> None:
        """Go on behind it: it is due by the next midnight anyway."""
        await self._go_past(connection, account_id)

    async def _go_past(self, connection: AsyncConnection, account_id: str) -> bool:
        """Move the cursor on, unless others have moved it, or are about to."""
        under_way = await reevaluations.lock_current(connection)
        if under_way is None or under_way != self._tried:
            return False
        await reevaluations.record_progress(connection, under_way.id, account_id, 1)
        return True

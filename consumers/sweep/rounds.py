"""The work of the sweeper: accounts that are due, and all accounts after a change of scorecards or rules."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from consumers.sweep.account_batches import AccountBatches, BatchAttempt
from service.evaluation.evaluate import Inputs, advance_accounts
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
    """Batches of a re-evaluation of all accounts."""
    return AccountBatches("re-evaluating all accounts", settings.sweep_batch, metrics.REEVALUATED, waiting)


@dataclass(frozen=True, slots=True)
class DueAccounts:
    """The accounts that are due by `now`."""

    policies: PolicyCache
    base_url: str
    now: datetime

    async def evaluate(self, connection: AsyncConnection, attempt: BatchAttempt) -> int:
        """Evaluate the accounts that have been due longest."""
        policy = await self.policies.in_force(connection)
        due = await scores.claim_due(connection, self.now, attempt.limit, attempt.without)
        if not due:
            return 0
        attempt.claimed += due
        time_alone = Inputs(dict.fromkeys(due, ()))
        outcome = await advance_accounts(connection, time_alone, policy, self.now, base_url=self.base_url)
        log.debug("swept", accounts=len(due), alerts=outcome.alerts)
        return len(due)

    async def put_off(self, connection: AsyncConnection, account_id: str, until: datetime) -> bool:
        """Make the account due later."""
        return await scores.postpone(connection, account_id, self.now, until)

    async def skip(self, connection: AsyncConnection, account_id: str) -> None:
        """Do nothing: it stays due, and is skipped."""


@dataclass(slots=True)
class AllAccounts:
    """All accounts in the order of their ids, from the cursor of the current re-evaluation."""

    policies: PolicyCache
    base_url: str
    now: datetime
    _tried: RunningReevaluation | None = field(default=None, init=False)

    async def evaluate(self, connection: AsyncConnection, attempt: BatchAttempt) -> int:
        """Evaluate the next accounts, whether they are due or not."""
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
        """Move past the account; the sweep evaluates it later with the policy in force then."""
        if not await self._go_past(connection, account_id):
            return False
        await scores.postpone(connection, account_id, self.now, until)
        return True

    async def skip(self, connection: AsyncConnection, account_id: str) -> None:
        """Move past the account: it is due by the next midnight anyway."""
        await self._go_past(connection, account_id)

    async def _go_past(self, connection: AsyncConnection, account_id: str) -> bool:
        """Advance the cursor, unless others have moved it or are about to."""
        under_way = await reevaluations.lock_current(connection)
        if under_way is None or under_way != self._tried:
            return False
        await reevaluations.record_progress(connection, under_way.id, account_id, 1)
        return True

"""Evaluates accounts in batches that get done: a failed batch is retried smaller, so a faulty account affects only
itself.

A batch that took too long would take too long again; one that fails because of an account would fail again.
"""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

import structlog
from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from service.observability import metrics
from service.runtime.batch_size import BatchSize
from service.storage.database.errors import is_poison, poison_reason
from service.storage.database.retry import is_transient, took_too_long, trouble

log = structlog.get_logger(__name__)

PUT_OFF = timedelta(hours=1)
"""Delay before an account that can't be evaluated is tried again; a fix may have come by then."""
PUT_OFF_SLOW = timedelta(minutes=5)
"""The same for an account that takes too long by itself: Postgres may be slow only for a while."""
MOST_IN_A_ROW = 100
"""If more accounts than this fail in a row, they aren't at fault: the version or the schema is."""


@dataclass(slots=True)
class BatchAttempt:
    """One attempt in one transaction: at most `limit` accounts, except those in `without`; `claimed` lists them."""

    limit: int
    without: Collection[str] = ()
    claimed: list[str] = field(default_factory=list)


class AccountWork(Protocol):
    """The work on accounts, in the caller's transaction."""

    async def evaluate(self, connection: AsyncConnection, attempt: BatchAttempt) -> int:
        """Claim accounts, add them to `attempt.claimed`, and evaluate them; returns their number."""

    async def put_off(self, connection: AsyncConnection, account_id: str, until: datetime) -> bool:
        """Postpone an account until `until`; False if others have dealt with it meanwhile."""

    async def skip(self, connection: AsyncConnection, account_id: str) -> None:
        """Skip an account of which nothing can be written."""


class AccountBatches:
    """Batches of one kind of work in one process: their size, and the accounts that are skipped."""

    def __init__(
        self, doing: str, most: int, counter: Counter, waiting: Callable[[str], None] = lambda _: None
    ) -> None:
        """`doing` names the work in the log, `counter` counts its accounts; `waiting` is called with the reason before
        each retry.
        """
        self.is_behind = False
        """True if the last batch was full, so that there may be more to do."""
        self._doing = doing
        self._counter = counter
        self._size = BatchSize(most)
        self._waiting = waiting
        self._skipped: dict[str, datetime] = {}
        self._in_a_row = 0

    async def next(self, engine: AsyncEngine, work: AccountWork, now: datetime) -> int:
        """Evaluate a batch, or put off the account at fault; returns the number of accounts dealt with.

        A batch that takes too long, or fails because of an account, is retried at once at half the size. Raises errors
        that need waiting, and errors that would affect all accounts alike.
        """
        self._skipped = {account_id: until for account_id, until in self._skipped.items() if until > now}
        while True:
            attempt = BatchAttempt(self._size.limit, tuple(self._skipped))
            started = time.monotonic()
            try:
                async with engine.begin() as connection:
                    done = await work.evaluate(connection, attempt)
            except Exception as error:
                if not self._is_of_batch(error, attempt):
                    raise
                if len(attempt.claimed) == 1 and (is_poison(error) or took_too_long(error)):
                    await self._put_off(engine, work, attempt.claimed[0], now, error)
                    self.is_behind = True
                    return 1
            else:
                self.is_behind = done >= attempt.limit
                self._size.done(done, time.monotonic() - started)
                if done:
                    self._in_a_row = 0
                    self._counter.inc(done)
                return done

    def _is_of_batch(self, error: Exception, attempt: BatchAttempt) -> bool:
        """True to retry at once with a smaller batch; errors that need waiting also make the next batch smaller."""
        accounts = len(attempt.claimed)
        if not accounts or not (is_transient(error) or is_poison(error)):
            return False
        self._size.given_up(accounts)
        reason = _reason(error)
        self._waiting(trouble(error))
        if accounts > 1:
            log.warning(
                "accounts_batch_cut", doing=self._doing, given_up=accounts, limit=self._size.limit, reason=reason
            )
        return is_poison(error) or took_too_long(error)

    async def _put_off(
        self, engine: AsyncEngine, work: AccountWork, account_id: str, now: datetime, error: Exception
    ) -> None:
        at_fault = is_poison(error)
        self._in_a_row += at_fault
        if self._in_a_row > MOST_IN_A_ROW:
            raise error
        until = now + (PUT_OFF if at_fault else PUT_OFF_SLOW)
        try:
            async with engine.begin() as connection:
                is_ours = await work.put_off(connection, account_id, until)
        except Exception as again:
            if not is_poison(again) and not took_too_long(again):
                raise
            # Its row can't be written either: it stays due, and this process skips it.
            self._skipped[account_id] = until
            async with engine.begin() as connection:
                await work.skip(connection, account_id)
            is_ours = True
        if is_ours:
            metrics.PUT_OFF.labels("fails" if at_fault else "slow").inc()
            log.error(
                "account_put_off",
                doing=self._doing,
                account_id=account_id,
                reason=_reason(error),
                until=until.isoformat(),
                remedy="Fix the cause in the reason; the account is retried automatically",
                exc_info=error if at_fault else None,
            )


def _reason(error: Exception) -> str:
    return trouble(error) or poison_reason(error).removeprefix("event: can't be folded: ")

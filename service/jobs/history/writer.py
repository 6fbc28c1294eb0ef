"""Writes pasts of accounts into history: some thousand rows in a transaction, an account whole or not at all."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from scoring.rules.policy import Policy
from scoring.rules.state_machine import with_earlier_closings
from scoring.state.calendar import from_day
from service.jobs.history.account_past import Wanted
from service.jobs.history.partitions import make_months
from service.storage.accounts import replayed_history
from service.storage.accounts.history import HistoryRow
from service.storage.accounts.history_partitions import Month
from service.storage.accounts.replayed_history import Beginning
from service.storage.accounts.score_codec import decode_memories, encode_memories
from service.storage.database.retry import retry_while_transient

MOST_ROWS = 4_000
"""Rows in a transaction: some tenths of a second, for which folding may wait for these accounts."""
WRITING = "writing replayed history"

Past = Sequence[HistoryRow]
"""The rows of one account, in order of day; at least one."""


@dataclass(slots=True)
class Written:
    """The result: the accounts and rows that were written, and the accounts that weren't: `gone` ones were erased or
    began again meanwhile, `longer` ones have a past already that begins earlier.
    """

    accounts: int = 0
    rows: int = 0
    gone: int = 0
    longer: int = 0
    first_day: int | None = None


@dataclass(slots=True)
class HistoryWriter:
    """Writes the pasts of the accounts in `wanted`, which were read before, whatever consumers do at the same time.

    Each is written in place of what was replayed before, unless that begins earlier and so was made of more events; and
    only while the account is the one that was read, with live days from the same day on: one that was erased isn't
    brought back. Scores, alerts, deliveries and the states of rules stay as they are; drop rules of `policy` learn of
    the earlier scores.
    """

    engine: AsyncEngine
    policy: Policy
    wanted: Mapping[str, Wanted]
    first_kept: int
    """The first day in retention of history: earlier ones don't count."""
    written: Written = field(default_factory=Written)
    _months: set[Month] = field(default_factory=set)

    async def write(self, pasts: Iterable[Past]) -> None:
        """Write pasts; a batch that meets a deadlock or an outage is tried again. Raises Postgres' errors."""
        for batch in _batches(pasts):
            months = {Month.of(from_day(row.day)) for past in batch for row in past} - self._months
            await make_months(self.engine, months, datetime.now(UTC).date())
            self._months |= months
            await retry_while_transient(partial(self._write, batch), WRITING)

    async def _write(self, batch: Sequence[Past]) -> None:
        by_account = {past[0].account_id: past for past in batch}
        async with self.engine.begin() as connection:
            memories = await replayed_history.lock(connection, sorted(by_account))
            found = await replayed_history.beginnings(connection, sorted(memories), from_day(self.first_kept))
            same = [each for each in found if self._is_same(each)]
            chosen = [each.account_id for each in same if not _begins_earlier(each, by_account[each.account_id])]
            rows = [row for account_id in chosen for row in by_account[account_id]]
            await replayed_history.replace(connection, chosen, rows)
            await self._remember(connection, {account_id: memories[account_id] for account_id in chosen}, by_account)
        self.written.gone += len(batch) - len(same)
        self.written.longer += len(same) - len(chosen)
        self._count(len(chosen), rows)

    def _is_same(self, found: Beginning) -> bool:
        wanted = self.wanted[found.account_id]
        return (found.created_at, found.live_from) == (wanted.created_at, wanted.live_from)

    async def _remember(
        self, connection: AsyncConnection, memories: Mapping[str, bytes | None], pasts: Mapping[str, Past]
    ) -> None:
        """Let drop rules look back. Those that an account doesn't remember yet are seeded from history anyway."""
        drops = {rule.id: rule.condition for rule in self.policy.drops}
        if not drops:
            return
        changed = {}
        for account_id, encoded in memories.items():
            memory = decode_memories(encoded)
            closings = [(row.day, row.score) for row in pasts[account_id]]
            known = {
                rule_id: with_earlier_closings(drops[rule_id], each, closings, self.wanted[account_id].live_from)
                if rule_id in drops
                else each
                for rule_id, each in memory.items()
            }
            if known != memory:
                changed[account_id] = encode_memories(known)
        await replayed_history.save_memories(connection, changed)

    def _count(self, accounts: int, rows: Sequence[HistoryRow]) -> None:
        written = self.written
        written.accounts += accounts
        written.rows += len(rows)
        if rows:
            first = min(row.since for row in rows)
            written.first_day = first if written.first_day is None else min(written.first_day, first)


def _begins_earlier(found: Beginning, past: Past) -> bool:
    return found.replayed_from is not None and found.replayed_from < past[0].since


def _batches(pasts: Iterable[Past]) -> Iterator[list[Past]]:
    batch: list[Past] = []
    rows = 0
    for past in pasts:
        batch.append(past)
        rows += len(past)
        if rows >= MOST_ROWS:
            yield batch
            batch, rows = [], 0
    if batch:
        yield batch

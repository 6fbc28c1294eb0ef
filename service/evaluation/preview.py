"""Previews the effect of publishing a draft on the accounts in Postgres. Reads only."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime

from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncEngine

from scoring.rules.policy import Policy
from scoring.state.calendar import to_micros
from scoring.whatif.preview import PolicyDraft, PreviewedAccount, preview
from scoring.whatif.preview_summary import PreviewSummary, PreviewTotals
from service.evaluation.changes import read_memory, read_state
from service.evaluation.drop_history import Seeds, seed_drops
from service.storage.accounts import sampling, states
from service.storage.accounts.score_codec import score_run_of
from service.storage.accounts.states import StoredAccount

CHUNK = 1_000
"""Accounts that are read at once."""
YIELD_EVERY = 20
"""Accounts between two turns of the event loop: a few milliseconds, so that other requests are answered."""


class Sample(Struct, frozen=True):
    """The accounts to evaluate: `judged` of `accounts`, those whose hash is below `cut`."""

    accounts: int
    judged: int
    cut: int | None


async def sample(reads: AsyncEngine, most: int | None) -> Sample:
    """All accounts, or an even sample of at most `most`; the same accounts every time."""
    async with reads.connect() as connection:
        accounts = await sampling.count(connection)
        if most is None or accounts <= most:
            return Sample(accounts, accounts, None)
        return Sample(accounts, most, await sampling.hash_cutoff(connection, most))


async def preview_accounts(
    reads: AsyncEngine,
    drawn: Sample,
    draft: PolicyDraft,
    now: datetime,
    advance: Callable[[int], None] = lambda _: None,
) -> PreviewSummary:
    """Evaluate every account of a sample by the present scorecards and with the draft.

    `advance` is called with the number of further accounts done. No connection is held during evaluations.
    """
    totals = PreviewTotals(draft)
    async for stored, seeds in stored_chunks(reads, drawn, draft.present):
        for index, each in enumerate(stored):
            if index % YIELD_EVERY == 0:
                await asyncio.sleep(0)
            totals.add(preview(_account(each, seeds), draft, to_micros(now)))
        advance(len(stored))
    return totals.summary()


async def stored_chunks(
    reads: AsyncEngine, drawn: Sample, policy: Policy | None = None
) -> AsyncIterator[tuple[list[StoredAccount], Seeds]]:
    """The stored accounts of a sample, at most `CHUNK` at a time, and the seeds of the policy's drop rules.

    No connection is held while the caller works on them.
    """
    after = ""
    while True:
        async with reads.connect() as connection:
            account_ids = await sampling.next_accounts(connection, after, drawn.cut, CHUNK)
            if not account_ids:
                return
            stored = await states.read(connection, account_ids)
            seeds = await seed_drops(connection, stored, policy) if policy is not None and policy.drops else {}
        yield stored, seeds
        after = account_ids[-1]


def _account(stored: StoredAccount, seeds: Seeds) -> PreviewedAccount:
    memory = {**seeds.get(stored.account_id, {}), **read_memory(stored)}
    return PreviewedAccount(stored.account_id, read_state(stored), score_run_of(stored), memory, stored.source)

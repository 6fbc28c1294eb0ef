"""Advances accounts in one transaction: lock, fold, evaluate, save, alert. Used by consumers, sweeper and API."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from types import MappingProxyType
from uuid import UUID

from msgspec import UNSET
from sqlalchemy.ext.asyncio import AsyncConnection

from scoring.rules.policy import Policy
from scoring.rules.rules import RuleMemory
from scoring.scorecards.override import Override
from scoring.state.calendar import to_micros
from scoring.state.events import Event
from service.alerts.compose import crossing_alerts, ending
from service.alerts.crossed_account import CrossedAccount
from service.alerts.digests import assign_digests, band_moves
from service.evaluation.changes import Changes
from service.evaluation.drop_history import seed_drops
from service.observability.stopwatch import Stopwatch
from service.runtime.tasks import to_thread_uncancelled
from service.storage.accounts import accounts, history, scores, states
from service.storage.accounts.states import StoredAccount
from service.storage.alerts import alerts, digests, routing
from service.storage.alerts.alerts import AlertRow
from service.targets import ROUTED

NO_OVERRIDES: Mapping[str, Override | None] = MappingProxyType({})
NO_TRACES: Mapping[str, str] = MappingProxyType({})
CHUNK = 4_000
"""Accounts folded while Postgres saves the chunk before, and locks and reads the chunk after."""
YIELD_EVERY = 25
"""Accounts between two turns of the event loop, so that statements and heartbeats go out during the work."""
SLOW_SECONDS = 0.1
"""If these accounts take longer, on a slow or busy machine, the next ones are folded in a thread so that heartbeats
don't wait.
"""
INLINE_EVENTS = 5_000
"""The same applies to accounts with more events than this."""


@dataclass(slots=True)
class EvaluationOutcome:
    """The results of a transaction, for metrics and logs."""

    accounts: int = 0
    late: int = 0
    alerts: int = 0
    deliveries: int = 0
    stopwatch: Stopwatch = field(default_factory=Stopwatch)
    """Reading and writing overlap with the fold if there is more than one chunk."""


async def advance_accounts(
    connection: AsyncConnection,
    events: Mapping[str, Sequence[Event]],
    policy: Policy,
    now: datetime,
    *,
    base_url: str,
    backfill: AbstractSet[str] = frozenset(),
    overrides: Mapping[str, Override | None] = NO_OVERRIDES,
    traces: Mapping[str, str] = NO_TRACES,
) -> EvaluationOutcome:
    """Fold `events` (by account; none means that only time has passed) and bring everything stored up to `now`.

    Runs in the caller's transaction: states, scores, history, alerts and their deliveries are written together or not
    at all. Alerts of accounts in `backfill`, whose events are all loaded history, are summed up in a digest.
    `overrides` are set by hand, or withdrawn if None. `traces` has, by account, the trace context for its alerts.
    """
    account_ids = sorted(events)
    outcome = EvaluationOutcome(accounts=len(account_ids))
    timing = outcome.stopwatch.timing
    chunks = [account_ids[start : start + CHUNK] for start in range(0, len(account_ids), CHUNK)]
    crossed: list[CrossedAccount] = []
    work = _Work(events, backfill, overrides, policy, to_micros(now))
    new: set[str] = set()
    with timing("read"):
        stored = await _lock_and_read(connection, chunks[0], new, policy) if chunks else _NOTHING
    changes = Changes()
    for following in [*chunks[1:], []]:
        meanwhile = asyncio.create_task(_save_and_read(connection, changes, now, following, new, policy, outcome))
        try:
            with timing("fold"):
                changes = await _fold(stored, work)
        except BaseException:
            # Nothing else may use the connection until this has ended.
            meanwhile.cancel()
            await asyncio.gather(meanwhile, return_exceptions=True)
            raise
        stored = await meanwhile
        outcome.late += changes.late
        crossed += changes.crossed
    with timing("write"):
        await _save(connection, changes, now, new)
        await _alert(connection, crossed, policy, now, outcome, base_url=base_url, backfill=backfill, traces=traces)
    return outcome


@dataclass(frozen=True, slots=True)
class _Work:
    """The changes to make to accounts, at `now` (microseconds)."""

    events: Mapping[str, Sequence[Event]]
    backfill: AbstractSet[str]
    overrides: Mapping[str, Override | None]
    policy: Policy
    now: int


@dataclass(frozen=True, slots=True)
class _Read:
    """Stored accounts, and the seeds of their drop rules."""

    accounts: Sequence[StoredAccount]
    seeds: Mapping[str, Mapping[str, RuleMemory]]


_NOTHING = _Read((), {})


async def _fold(read: _Read, work: _Work) -> Changes:
    """Fold in the event loop, a few accounts at a time; in a thread if these take long or have many events."""
    changes = Changes()
    is_slow = False
    for start in range(0, len(read.accounts), YIELD_EVERY):
        accounts = read.accounts[start : start + YIELD_EVERY]
        fold = partial(_fold_some, changes, accounts, read.seeds, work)
        await asyncio.sleep(0)
        began = time.perf_counter()
        if is_slow or sum(len(work.events[each.account_id]) for each in accounts) > INLINE_EVENTS:
            await to_thread_uncancelled(fold)
        else:
            fold()
        is_slow = time.perf_counter() - began > SLOW_SECONDS
    return changes


def _fold_some(
    changes: Changes, accounts: Sequence[StoredAccount], seeds: Mapping[str, Mapping[str, RuleMemory]], work: _Work
) -> None:
    for account in accounts:
        account_id = account.account_id
        changes.add(
            account,
            work.events[account_id],
            work.policy,
            work.now,
            work.overrides.get(account_id, UNSET) if work.overrides else UNSET,
            seeds.get(account_id),
            backfill=account_id in work.backfill,
        )


async def _save_and_read(
    connection: AsyncConnection,
    changes: Changes,
    now: datetime,
    account_ids: list[str],
    new: set[str],
    policy: Policy,
    outcome: EvaluationOutcome,
) -> _Read:
    with outcome.stopwatch.timing("read"):
        stored = await _lock_and_read(connection, account_ids, new, policy) if account_ids else _NOTHING
    with outcome.stopwatch.timing("write"):
        await _save(connection, changes, now, new)
    return stored


async def _lock_and_read(connection: AsyncConnection, account_ids: list[str], new: set[str], policy: Policy) -> _Read:
    """Lock and read accounts; ids that this creates are added to `new`."""
    new |= await states.lock(connection, account_ids)
    old = [account_id for account_id in account_ids if account_id not in new] if new else account_ids
    stored = await states.read(connection, old) if old else []
    seeds = await seed_drops(connection, stored, policy) if policy.drops else {}
    if new:
        stored += [states.new_account(account_id) for account_id in account_ids if account_id in new]
    return _Read(stored, seeds)


async def _save(connection: AsyncConnection, changes: Changes, now: datetime, new: AbstractSet[str]) -> None:
    await states.save_usage(connection, changes.usage)
    await states.save_signal(connection, "ticket_states", changes.tickets)
    await states.save_signal(connection, "survey_states", changes.surveys)
    for judged, rows in changes.scores.items():
        await scores.save(connection, scores.ScoreBasis(*judged), rows, new, now)
    await accounts.save_attributes(connection, changes.attributes)
    await history.insert(connection, changes.history)
    await scores.save_overrides(connection, changes.overrides)
    await scores.save_rule_memory(connection, changes.memories)


async def _alert(
    connection: AsyncConnection,
    crossed: Sequence[CrossedAccount],
    policy: Policy,
    now: datetime,
    outcome: EvaluationOutcome,
    *,
    base_url: str,
    backfill: AbstractSet[str],
    traces: Mapping[str, str],
) -> None:
    """Write the alerts of all crossings, and a delivery of each for every endpoint that takes it."""
    rows: list[AlertRow] = []
    assignment = await assign_digests(connection, crossed, policy, now, backfill)
    begun = await alerts.episode_starts(connection, ending(crossed))
    for each in crossed:
        digest = partial(assignment.digest_of, each.account_id)
        rows += crossing_alerts(each, policy, base_url=base_url, digest=digest, begun=begun)
    if policy.digest is not None:
        await digests.add_moves(connection, UUID(policy.digest), band_moves(crossed))
    if traces:
        rows = [alert._replace(traceparent=traces.get(alert.account_id or "")) for alert in rows]
    await alerts.insert(connection, rows, now)
    outcome.alerts = len(rows)
    alerts.count_when_committed(connection, (alert.state for alert in rows))
    written = [alert.id for alert in rows]
    outcome.deliveries = await routing.enqueue(connection, written, now, targets=ROUTED) if written else 0

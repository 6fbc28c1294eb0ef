"""Advances accounts in one transaction: lock, fold, evaluate, save, alert. Used by consumers, sweeper and API."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from uuid import UUID

from msgspec import UNSET
from sqlalchemy.ext.asyncio import AsyncConnection

from scoring.rules.conditions import RuleMemory
from scoring.rules.policy import Policy
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
from service.storage.accounts.listing import projection
from service.storage.accounts.states import StoredAccount
from service.storage.alerts import alerts, digests, routing
from service.storage.alerts.alerts import AlertRow
from service.targets import ROUTED

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


@dataclass(frozen=True, slots=True)
class Inputs:
    """The news about accounts: the events of each; none means that only time has passed.

    Alerts of accounts in `backfill`, whose events are all loaded history, are summed up in a digest. `overrides` are
    set by hand, or withdrawn if None. `traces` has, by account, the trace context for its alerts.
    """

    events: Mapping[str, Sequence[Event]]
    backfill: AbstractSet[str] = frozenset()
    overrides: Mapping[str, Override | None] = field(default_factory=dict)
    traces: Mapping[str, str] = field(default_factory=dict)


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
    connection: AsyncConnection, inputs: Inputs, policy: Policy, now: datetime, *, base_url: str
) -> EvaluationOutcome:
    """Fold the events of `inputs` and bring everything stored about its accounts up to `now`.

    Runs in the caller's transaction: states, scores, history, alerts and their deliveries are written together or not
    at all. `base_url` starts links in alerts.
    """
    return await _AccountBatch(connection, inputs, policy, now, base_url).advance()


@dataclass(frozen=True, slots=True)
class _Read:
    """Stored accounts, and the seeds of their drop rules."""

    accounts: Sequence[StoredAccount]
    seeds: Mapping[str, Mapping[str, RuleMemory]]


_NOTHING = _Read((), {})


class _AccountBatch:
    """Accounts that are advanced in one transaction, chunk by chunk; for a single call of `advance`."""

    def __init__(
        self, connection: AsyncConnection, inputs: Inputs, policy: Policy, now: datetime, base_url: str
    ) -> None:
        self._connection = connection
        self._inputs = inputs
        self._policy = policy
        self._now = now
        self._micros = to_micros(now)
        self._base_url = base_url
        self._outcome = EvaluationOutcome(accounts=len(inputs.events))
        self._new: set[str] = set()
        """Accounts that this transaction creates."""
        self._crossed: list[CrossedAccount] = []

    async def advance(self) -> EvaluationOutcome:
        """Advance all accounts."""
        timing = self._outcome.stopwatch.timing
        account_ids = sorted(self._inputs.events)
        first, *rest = [account_ids[start : start + CHUNK] for start in range(0, len(account_ids), CHUNK)] or [[]]
        stored = await self._read(first)
        changes = Changes()
        for following in [*rest, []]:
            meanwhile = asyncio.create_task(self._read_and_save(following, changes))
            try:
                with timing("fold"):
                    changes = await self._fold(stored)
            except BaseException:
                # Nothing else may use the connection until this has ended.
                meanwhile.cancel()
                await asyncio.gather(meanwhile, return_exceptions=True)
                raise
            stored = await meanwhile
            self._outcome.late += changes.late
            self._crossed += changes.crossed
        await self._save(changes)
        with timing("write"):
            await self._alert()
        return self._outcome

    async def _read_and_save(self, account_ids: list[str], changes: Changes) -> _Read:
        stored = await self._read(account_ids)
        await self._save(changes)
        return stored

    async def _read(self, account_ids: list[str]) -> _Read:
        """Lock and read accounts, and create those that are missing."""
        with self._outcome.stopwatch.timing("read"):
            if not account_ids:
                return _NOTHING
            stored, created = await states.lock(self._connection, account_ids)
            self._new |= created
            seeds = await seed_drops(self._connection, stored, self._policy) if self._policy.drops else {}
            return _Read(stored, seeds)

    async def _fold(self, read: _Read) -> Changes:
        """Fold in the event loop, a few accounts at a time; in a thread if these take long or have many events."""
        changes = Changes()
        events = self._inputs.events
        is_slow = False
        for start in range(0, len(read.accounts), YIELD_EVERY):
            accounts = read.accounts[start : start + YIELD_EVERY]
            fold = partial(self._fold_some, changes, accounts, read.seeds)
            await asyncio.sleep(0)
            began = time.perf_counter()
            if is_slow or sum(len(events[each.account_id]) for each in accounts) > INLINE_EVENTS:
                await to_thread_uncancelled(fold)
            else:
                fold()
            is_slow = time.perf_counter() - began > SLOW_SECONDS
        return changes

    def _fold_some(
        self, changes: Changes, accounts: Sequence[StoredAccount], seeds: Mapping[str, Mapping[str, RuleMemory]]
    ) -> None:
        inputs = self._inputs
        for account in accounts:
            account_id = account.account_id
            changes.add(
                account,
                inputs.events[account_id],
                self._policy,
                self._micros,
                inputs.overrides.get(account_id, UNSET) if inputs.overrides else UNSET,
                seeds.get(account_id),
                backfill=account_id in inputs.backfill,
            )

    async def _save(self, changes: Changes) -> None:
        connection = self._connection
        with self._outcome.stopwatch.timing("write"):
            await states.save_signal(connection, "ticket_states", changes.tickets)
            await states.save_signal(connection, "survey_states", changes.surveys)
            for judged, rows in changes.scores.items():
                await scores.save(connection, scores.ScoreBasis(*judged), rows, self._new, self._now)
            await projection.save(connection, changes.listed, self._now)
            await accounts.save_attributes(connection, changes.attributes)
            await history.insert(connection, changes.history)
            await scores.save_overrides(connection, changes.overrides)
            await scores.save_rule_memory(connection, changes.memories)

    async def _alert(self) -> None:
        """Write the alerts of all crossings, and a delivery of each for every endpoint that takes it."""
        connection, policy, now, crossed = self._connection, self._policy, self._now, self._crossed
        rows: list[AlertRow] = []
        assignment = await assign_digests(connection, crossed, policy, now, self._inputs.backfill)
        begun = await alerts.episode_starts(connection, ending(crossed))
        for each in crossed:
            digest = partial(assignment.digest_of, each.account_id)
            rows += crossing_alerts(each, policy, base_url=self._base_url, digest=digest, begun=begun)
        if policy.digest is not None:
            await digests.add_moves(connection, UUID(policy.digest), band_moves(crossed))
        if traces := self._inputs.traces:
            rows = [alert._replace(traceparent=traces.get(alert.account_id or "")) for alert in rows]
        await alerts.insert(connection, rows, now)
        self._outcome.alerts = len(rows)
        alerts.count_when_committed(connection, (alert.state for alert in rows))
        written = [alert.id for alert in rows]
        if written:
            self._outcome.deliveries = await routing.enqueue(connection, written, now, targets=ROUTED)

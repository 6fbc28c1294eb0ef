"""Advance accounts in one transaction: lock, fold, judge, save, alert. Consumers, sweeper and API meet here."""

import asyncio
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from scoring.advance import Policy
from scoring.events import Event
from scoring.windows import to_micros
from service.alerting import crossing_alerts
from service.changes import Changes, Crossed
from service.policy import load_scorecard
from service.storage import accounts, alerts, deliveries, scores, states
from service.storage.alerts import AlertRow
from service.storage.states import StoredAccount

CHUNK = 4_000
"""Accounts that are folded while Postgres saves those before them and reads those after."""
YIELD_EVERY = 100
"""Accounts between two turns of the event loop, so that statements and heartbeats go out during the work."""


@dataclass(slots=True)
class Outcome:
    """What a transaction did, for metrics and logs."""

    accounts: int = 0
    late: int = 0
    alerts: int = 0
    deliveries: int = 0


async def advance_accounts(
    connection: AsyncConnection,
    events: Mapping[str, Sequence[Event]],
    policy: Policy,
    now: datetime,
    *,
    base_url: str,
    quiet: AbstractSet[str] = frozenset(),
) -> Outcome:
    """Fold `events` (by account; none means that only time has passed) and bring everything stored up to `now`.

    One transaction, the caller's: states, scores, alerts and their deliveries are written together or not at all.
    Alerts of accounts in `quiet`, whose events are all history, are kept but told to nobody.
    """
    account_ids = sorted(events)
    new = await states.lock(connection, account_ids)
    outcome = Outcome(accounts=len(account_ids))
    chunks = [account_ids[start : start + CHUNK] for start in range(0, len(account_ids), CHUNK)]
    crossed: list[Crossed] = []
    stored = await _read(connection, chunks[0], new) if chunks else []
    changes = Changes()
    for following in [*chunks[1:], []]:
        meanwhile = asyncio.create_task(_save_and_read(connection, changes, now, following, new))
        try:
            changes = await _fold(stored, events, policy, to_micros(now))
        except BaseException:
            # Nothing else may use the connection before this has ended.
            meanwhile.cancel()
            await asyncio.gather(meanwhile, return_exceptions=True)
            raise
        stored = await meanwhile
        outcome.late += changes.late
        crossed += changes.crossed
    await _save(connection, changes, now, new)
    await _alert(connection, crossed, policy, now, outcome, base_url=base_url, quiet=quiet)
    return outcome


async def _fold(
    stored: Sequence[StoredAccount], events: Mapping[str, Sequence[Event]], policy: Policy, now: int
) -> Changes:
    changes = Changes()
    for index, account in enumerate(stored):
        if index % YIELD_EVERY == 0:
            await asyncio.sleep(0)
        changes.add(account, events[account.account_id], policy, now)
    return changes


async def _save_and_read(
    connection: AsyncConnection, changes: Changes, now: datetime, account_ids: list[str], new: AbstractSet[str]
) -> list[StoredAccount]:
    stored = await _read(connection, account_ids, new)
    await _save(connection, changes, now, new)
    return stored


async def _read(connection: AsyncConnection, account_ids: list[str], new: AbstractSet[str]) -> list[StoredAccount]:
    old = [account_id for account_id in account_ids if account_id not in new] if new else account_ids
    stored = await states.read(connection, old) if old else []
    if new:
        stored += [states.blank(account_id) for account_id in account_ids if account_id in new]
    return stored


async def _save(connection: AsyncConnection, changes: Changes, now: datetime, new: AbstractSet[str]) -> None:
    await states.save(connection, "usage_states", changes.usage)
    await states.save(connection, "ticket_states", changes.tickets)
    await states.save(connection, "survey_states", changes.surveys)
    await accounts.save_attributes(connection, changes.attributes)
    for judged, rows in changes.scores.items():
        await scores.save(connection, judged, rows, new, now)
    await scores.remember(connection, changes.memories)


async def _alert(
    connection: AsyncConnection,
    crossed: Sequence[Crossed],
    policy: Policy,
    now: datetime,
    outcome: Outcome,
    *,
    base_url: str,
    quiet: AbstractSet[str],
) -> None:
    """Write the alerts of all crossings, and a delivery of each for those who want it."""
    told: list[AlertRow] = []
    for each in crossed:
        before = each.before
        card = await load_scorecard(connection, policy, before.scorecard, before.scorecard_version)
        told += crossing_alerts(each, card, base_url=base_url, quiet=before.account_id in quiet)
    await alerts.insert(connection, told, now)
    loud = [alert.id for alert in told if not alert.quiet]
    outcome.alerts = len(told)
    outcome.deliveries = await deliveries.enqueue(connection, loud, now) if loud else 0

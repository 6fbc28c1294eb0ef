"""All accounts are judged anew, in the background: who changes a scorecard or a rule begins it, sweepers go on."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from scoring.rules.policy import Policy
from scoring.state.events import Event
from service.alerts import digests
from service.evaluation.evaluate import advance_accounts
from service.storage.alerts import digests as stored_digests
from service.storage.alerts.digests import RuleChange
from service.storage.policy import lock, reevaluations
from service.storage.policy.reevaluations import RunningReevaluation


async def begin_for_scorecard(connection: AsyncConnection, subject: str, now: datetime) -> UUID:
    """Have all accounts judged anew because a scorecard was published, and one digest told of what that sets off.

    In the transaction that publishes; whoever is judging by what was in force before is waited for.
    """
    return await _begin(connection, "scorecard", subject, (), now)


async def begin_for_rule(
    connection: AsyncConnection, rule_id: UUID, name: str, now: datetime, change: RuleChange
) -> UUID:
    """Have all accounts judged anew because of what happened to a rule, and one digest told of what that sets off.

    In the transaction that changes it.
    """
    return await _begin(connection, "rule", name, [rule_id], now, change)


async def _begin(
    connection: AsyncConnection,
    cause: reevaluations.ReevaluationCause,
    subject: str,
    rules: Collection[UUID],
    now: datetime,
    change: RuleChange | None = None,
) -> UUID:
    left = await reevaluations.interrupt(connection, now)
    if left.digest is None:
        digest = await stored_digests.open_digest(connection, cause, subject, now, change)
    else:
        digest = left.digest
        await stored_digests.add_subject(connection, digest, cause, subject, change)
    begun = await reevaluations.begin(connection, cause, subject, digest, now, rules={*left.rules, *rules})
    # Last, and held only until the commit: nobody may judge by what was in force before once the walk has begun.
    await lock.lock_exclusive(connection)
    return begun


async def carry_on(
    connection: AsyncConnection,
    under_way: RunningReevaluation,
    policy: Policy,
    now: datetime,
    *,
    limit: int,
    base_url: str,
    claimed: list[str] | None = None,
) -> int:
    """Judge up to `limit` more accounts, in the transaction that has taken it; returns how many there were.

    They are added to `claimed` before they are judged. After the last, the digest is told.
    """
    account_ids = await reevaluations.next_accounts(connection, under_way.cursor, limit)
    if account_ids:
        if claimed is not None:
            claimed += account_ids
        nothing: dict[str, list[Event]] = {account_id: [] for account_id in account_ids}
        await advance_accounts(connection, nothing, policy, now, base_url=base_url)
        await reevaluations.record_progress(connection, under_way.id, account_ids[-1], len(account_ids))
        return len(account_ids)
    if under_way.digest_id is not None:
        # Whoever still judges with this digest is waited for: what came into it after it is told, would never be.
        await lock.lock_exclusive(connection)
        await digests.send(connection, under_way.digest_id, now, base_url)
    await reevaluations.finish(connection, under_way.id, now)
    return 0

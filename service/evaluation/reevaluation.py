"""Re-evaluates all accounts in the background after a scorecard or rule changes; sweepers do the work."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from scoring.rules.policy import Policy
from service.alerts import digests
from service.evaluation.evaluate import Inputs, advance_accounts
from service.storage.alerts import digests as stored_digests
from service.storage.alerts.digests import RuleChange
from service.storage.policy import lock, reevaluations
from service.storage.policy.reevaluations import RunningReevaluation


async def begin_for_scorecard(connection: AsyncConnection, subject: str, now: datetime) -> UUID:
    """Begin a re-evaluation because a scorecard was published, with one digest for the alerts that it causes.

    Call it in the transaction that publishes; it waits for transactions that still evaluate by the earlier policy.
    """
    return await _begin(connection, "scorecard", subject, (), now)


async def begin_for_calibration(connection: AsyncConnection, subject: str, now: datetime) -> UUID:
    """Begin a re-evaluation because a scorecard got another calibration, which moves no score and causes no alert.

    It needs no digest, then; that of a re-evaluation that it interrupts stays open until all accounts are evaluated.
    Reads by account go by the new calibration at once (`Policy.successor`). The walk is for all that reads the stored
    version: the views for analysts, exports, and what is expected to churn. Call it in the transaction that publishes.
    """
    left = await reevaluations.interrupt(connection, now)
    begun = await reevaluations.begin(connection, "scorecard", subject, left.digest, now, rules=left.rules)
    await lock.lock_exclusive(connection)
    return begun


async def begin_for_rule(
    connection: AsyncConnection, rule_id: UUID, name: str, now: datetime, change: RuleChange
) -> UUID:
    """Begin a re-evaluation because a rule was changed, with one digest for the alerts that it causes.

    Call it in the transaction that changes the rule.
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
    # Last, and held only until the commit: nobody may evaluate by the earlier policy once the walk has begun.
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
    """Evaluate up to `limit` more accounts, in the transaction that has locked it; returns their number.

    They are added to `claimed` first. After the last one, the digest is sent.
    """
    account_ids = await reevaluations.next_accounts(connection, under_way.cursor, limit)
    if account_ids:
        if claimed is not None:
            claimed += account_ids
        time_alone = Inputs(dict.fromkeys(account_ids, ()))
        await advance_accounts(connection, time_alone, policy, now, base_url=base_url)
        await reevaluations.record_progress(connection, under_way.id, account_ids[-1], len(account_ids))
        return len(account_ids)
    if under_way.digest_id is not None:
        # Wait for transactions that still write to this digest; anything added after it is sent would be lost.
        await lock.lock_exclusive(connection)
        await digests.send(connection, under_way.digest_id, now, base_url)
    await reevaluations.finish(connection, under_way.id, now)
    return 0

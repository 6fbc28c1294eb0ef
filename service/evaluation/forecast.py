"""Forecasts the effect of silence on stored accounts."""

import asyncio
from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from scoring.rules.conditions import RuleMemory
from scoring.rules.policy import Policy
from scoring.state.calendar import from_day
from scoring.whatif.forecast import Situation, forecast
from service.evaluation.changes import read_memory, read_state
from service.evaluation.drop_history import seed_drops
from service.storage.accounts import states
from service.storage.accounts.forecasts import ForecastRow
from service.storage.accounts.score_codec import score_run_of
from service.storage.accounts.states import StoredAccount

YIELD_EVERY = 5
"""Accounts between two turns of the event loop: each can take some milliseconds."""

_NO_SEEDS: Mapping[str, RuleMemory] = {}


async def situations(connection: AsyncConnection, account_ids: Sequence[str], policy: Policy) -> dict[str, Situation]:
    """The situations of the accounts that exist, by id."""
    stored = await states.read(connection, list(account_ids))
    seeds = await seed_drops(connection, stored, policy) if policy.drops else {}
    return {each.account_id: _situation(each, seeds.get(each.account_id, _NO_SEEDS)) for each in stored}


def _situation(stored: StoredAccount, seeds: Mapping[str, RuleMemory]) -> Situation:
    return Situation(read_state(stored), score_run_of(stored), {**seeds, **read_memory(stored)}, stored.source)


async def forecast_accounts(
    connection: AsyncConnection, account_ids: Sequence[str], policy: Policy, now: int, days: int
) -> list[ForecastRow]:
    """The rules that will begin to fire for accounts that stay silent for `days` days from `now` (microseconds)."""
    rows: list[ForecastRow] = []
    found = await situations(connection, account_ids, policy)
    for index, (account_id, situation) in enumerate(found.items()):
        if index % YIELD_EVERY == 0:
            await asyncio.sleep(0)
        for coming in forecast(situation, policy, now, days, whole=False).firings:
            then = coming.evaluation
            rows.append(ForecastRow(account_id, UUID(coming.rule.id), from_day(then.day), then.score))
    return rows

"""The accounts that will cross a threshold if they stay silent, found among stored forecasts and checked when read.

A forecast can be as old as a cycle through all accounts. So each is computed again before it is shown, and left out if
it has come true or no longer will.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import NamedTuple

from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncConnection

from scoring.rules.policy import Policy
from scoring.scorecards.scorecard import Evaluation
from scoring.state.attributes import AttributeState
from scoring.state.calendar import to_day, to_micros
from scoring.whatif.forecast import PredictedCrossing, forecast
from service.evaluation.forecast import YIELD_EVERY, situations
from service.storage.accounts import forecasts
from service.storage.accounts.forecasts import ForecastKey, StoredForecast, UpcomingFilter

MOST_ROUNDS = 3
"""Reads of more forecasts, per page, in place of those that no longer hold."""


class UpcomingAccount(NamedTuple):
    """A rule that will begin to fire for an account: its attributes, its evaluation now, and the crossing."""

    account_id: str
    attributes: AttributeState
    now: Evaluation
    crossing: PredictedCrossing


class UpcomingPage(NamedTuple):
    """A part of the list, in order; the key after which the next page begins; and the age of the oldest forecast
    read.
    """

    items: list[UpcomingAccount]
    after: ForecastKey | None
    as_of: datetime | None


async def page(
    connection: AsyncConnection,
    wanted: UpcomingFilter,
    policy: Policy,
    now: datetime,
    *,
    after: ForecastKey | None,
    size: int,
) -> UpcomingPage:
    """Up to `size` matching forecasts after `after`; fewer if many no longer hold.

    They are ordered by day, account and rule, as forecast; if a day has moved since, its page is sorted by the new one.
    """
    items: list[UpcomingAccount] = []
    read: list[StoredForecast] = []
    for _ in range(MOST_ROUNDS):
        room = size - len(items)
        rows = await forecasts.page(connection, wanted, after=after, limit=room + 1)
        items += await _still_valid(connection, rows[:room], wanted, policy, now)
        read += rows[:room]
        after = rows[room - 1].key if len(rows) > room else None
        if after is None or len(items) == size:
            break
    return UpcomingPage(sorted(items, key=_place), after, min((row.made_at for row in read), default=None))


def _place(item: UpcomingAccount) -> tuple[int, str, str]:
    return item.crossing.evaluation.day, item.account_id, item.crossing.rule.id


async def _still_valid(
    connection: AsyncConnection, rows: Sequence[StoredForecast], wanted: UpcomingFilter, policy: Policy, now: datetime
) -> list[UpcomingAccount]:
    """The stored forecasts, computed again, without those that no longer hold."""
    rules: defaultdict[str, set[str]] = defaultdict(set)
    for row in rows:
        rules[row.account_id].add(str(row.rule_id))
    found = await situations(connection, list(rules), policy) if rules else {}
    days, bands = to_day(wanted.last) - to_day(now.date()), wanted.accounts.bands
    items: list[UpcomingAccount] = []
    for index, (account_id, situation) in enumerate(found.items()):
        if index % YIELD_EVERY == 0:
            await asyncio.sleep(0)
        asked = _only(policy, rules[account_id])
        foreseen = forecast(situation, asked, to_micros(now), days, whole=False)
        if bands is None or foreseen.now.band in bands:
            attributes = situation.state.attributes
            items += [UpcomingAccount(account_id, attributes, foreseen.now, crossing) for crossing in foreseen.firings]
    return items


def _only(policy: Policy, rules: AbstractSet[str]) -> Policy:
    return replace(policy, rules=tuple(rule for rule in policy.rules if rule.id in rules))

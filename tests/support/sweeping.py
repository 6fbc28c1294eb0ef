"""The service on a clock that the test moves: folding, sweeping and re-evaluating, each at a given moment."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from consumers.sweep.runner import forget_once, reevaluate_once, send_digests_once, sweep_once
from scoring.scorecards.document import ScorecardDocument
from scoring.state.calendar import day_of, to_micros
from scoring.state.events import AttributesEvent, Event, UsageEvent
from service.evaluation.evaluate import Inputs, advance_accounts
from service.evaluation.policy import PolicyCache
from service.evaluation.publishing import publish
from service.evaluation.reevaluation import begin_for_rule
from service.runtime.ids import new_id
from service.runtime.settings import Settings
from service.storage.policy import rules

START = datetime(2026, 3, 2, 12, tzinfo=UTC)


def used(account_id: str, at: datetime, feature: str = "login") -> Event:
    """One use of a feature, sent as it happened."""
    micros = to_micros(at)
    return UsageEvent(account_id, micros, day_of(micros), day_of(micros), feature, 1, 1)


def described(account_id: str, at: datetime, **values: str | int | None) -> Event:
    """Attributes of an account that were set, sent as it happened."""
    micros = to_micros(at)
    return AttributesEvent(account_id, micros, day_of(micros), f"described-{micros}", dict(values))


def by_active_days(most: int, name: str = "default", **more: Any) -> ScorecardDocument:
    """A scorecard by which an account scores 100 after use on `most` of 30 days, and less in proportion."""
    measure = {"measure": "active_days", "window": 30, "weight": 1, "curve": [[0, 0], [most, 100]]}
    bands = {"red": 0, "yellow": 40, "green": 70}
    return msgspec.convert({"name": name, "measures": [measure], "bands": bands, **more}, ScorecardDocument)


class Clock:
    """The service on a clock that the test moves."""

    def __init__(self, engine: AsyncEngine, settings: Settings) -> None:
        self.engine = engine
        self.settings = settings
        self.policies = PolicyCache(settings.retention_days, lambda: 0.0)

    async def fold(
        self, events: Mapping[str, Sequence[Event]], now: datetime, *, backfill: AbstractSet[str] = frozenset()
    ) -> None:
        """Fold a batch, in which the accounts in `backfill` have loaded history alone."""
        async with self.engine.begin() as connection:
            policy = await self.policies.in_force(connection)
            await advance_accounts(connection, Inputs(events, backfill), policy, now, base_url=self.settings.base_url)

    async def sweep(self, now: datetime) -> int:
        """Sweep until nothing is due."""
        swept = 0
        while count := await sweep_once(self.engine, self.policies, self.settings, now):
            swept += count
        return swept

    async def reevaluate(self, now: datetime) -> int:
        """Re-evaluate accounts until all are done."""
        judged = 0
        while count := await reevaluate_once(self.engine, self.policies, self.settings, now):
            judged += count
        return judged

    async def tell(self, now: datetime) -> int:
        """Send the digests of backfills and dwells that have paused, and delete those that are sent."""
        await forget_once(self.engine, now)
        return await send_digests_once(self.engine, self.settings, now)

    async def publish(self, document: ScorecardDocument, now: datetime) -> UUID:
        """Publish a scorecard; returns the re-evaluation that this begins."""
        async with self.engine.begin() as connection:
            begun = (await publish(connection, document, now)).reevaluation
            assert begun
            return begun

    async def add_rule(self, name: str, kind: str, **document: Any) -> UUID:
        """Add a rule, before there are accounts to evaluate."""
        async with self.engine.begin() as connection:
            rule = {"id": new_id(), "name": name, "kind": kind, "enabled": True, "document": document}
            created: UUID = (await rules.create(connection, rule))["id"]
            return created

    async def change_rule(self, rule_id: UUID, now: datetime, **changes: Any) -> UUID:
        """Change the given columns of a rule; returns the re-evaluation that this begins."""
        async with self.engine.begin() as connection:
            stored = await rules.get(connection, rule_id)
            assert stored
            kept = {name: stored[name] for name in ("name", "kind", "enabled", "document")}
            assert await rules.replace(connection, rule_id, {**kept, **changes})
            return await begin_for_rule(connection, rule_id, changes.get("name", kept["name"]), now, "changed")

    async def remove_rule(self, rule_id: UUID, now: datetime) -> UUID:
        """Delete a rule; returns the re-evaluation that this begins."""
        async with self.engine.begin() as connection:
            assert await rules.remove(connection, rule_id)
            return await begin_for_rule(connection, rule_id, "a rule", now, "deleted")

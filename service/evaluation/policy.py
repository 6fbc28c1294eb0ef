"""The policy in force: the newest scorecards and the enabled rules, as stored in Postgres."""

from collections.abc import Callable
from typing import Any

import msgspec
import yaml
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from scoring.rules.conditions import Condition, Rule
from scoring.rules.policy import Policy
from scoring.scorecards.document import ScorecardDocument, parse
from scoring.scorecards.scorecard import Scorecard, compile_scorecard
from scoring.scorecards.selection import in_order
from service.evaluation.scorecards import starter_text
from service.runtime.cached import Cached
from service.runtime.errors import HealthError
from service.storage.policy import lock, reevaluations, rules, scorecards

KEEP_SECONDS = 1.0


def starter(name: str) -> Any:
    """A scorecard document that ships with the service, parsed from its YAML."""
    return yaml.safe_load(starter_text(name))


def read_condition(kind: str, document: dict[str, Any]) -> Condition:
    """A rule's condition from its stored parts."""
    condition: Condition = msgspec.convert({**document, "kind": kind}, Condition)
    return condition


async def load_policy(connection: AsyncConnection, retention: int) -> Policy:
    """The policy as it is in Postgres now; raises `HealthError` if no default scorecard is published."""
    published = {
        (version["name"], version["version"]): compile_scorecard(
            msgspec.convert(version["document"], ScorecardDocument), version["version"]
        )
        for version in await scorecards.versions(connection)
    }
    newest: dict[str, Scorecard] = {}
    for (name, _), card in sorted(published.items(), key=lambda item: item[0]):
        newest[name] = card
    try:
        cards = in_order(newest.values())
    except ValueError:
        raise HealthError("No default scorecard is published", "Run: account-health migrate") from None
    stored = [(each["enabled"], _rule(each)) for each in await rules.all_with_deleted(connection)]
    summed_up = await reevaluations.current_digest(connection)
    digest = str(summed_up.digest) if summed_up else None
    return Policy(
        scorecards=cards,
        rules=tuple(rule for enabled, rule in stored if enabled),
        retention=retention,
        published=published,
        retired={rule.id: rule for enabled, rule in stored if not enabled},
        silent_sources=frozenset(await lock.silent_sources(connection)),
        digest=digest if summed_up and summed_up.of_scorecard else None,
        rule_digest=digest,
        changed=frozenset(map(str, summed_up.rules)) if summed_up else frozenset(),
    )


def _rule(stored: dict[str, Any]) -> Rule:
    return Rule(str(stored["id"]), stored["name"], read_condition(stored["kind"], stored["document"]))


async def publish_default(connection: AsyncConnection, retention: int) -> bool:
    """Publish the default scorecard that ships with the service unless there is one; returns True if it did."""
    if any(document["name"] == "default" for _, document in await scorecards.newest(connection)):
        return False
    await scorecards.publish(connection, parse(starter("default"), retention))
    return True


class PolicyCache:
    """Caches the policy for as long as it is in force."""

    def __init__(self, retention: int, monotonic: Callable[[], float]) -> None:
        """`monotonic` is the clock for the age of `recent`."""
        self._retention = retention
        self._monotonic = monotonic
        self._kept: Cached[Policy] | None = None
        self._signature: tuple[Any, ...] | None = None

    async def in_force(self, connection: AsyncConnection) -> Policy:
        """The policy that stays in force until the transaction ends, so that no evaluation by it is out of date.

        Call it before accounts are locked.
        """
        await lock.lock_shared(connection)
        return await self._check(connection)

    async def recent(self, connection: AsyncConnection) -> Policy:
        """The policy, at most `KEEP_SECONDS` old, for reading; blocks nobody."""
        return self._recent() or await self._check(connection)

    async def recent_by(self, reads: AsyncEngine) -> Policy:
        """Like `recent`, but takes a connection only if the policy has to be checked."""
        if (policy := self._recent()) is not None:
            return policy
        async with reads.connect() as connection:
            return await self._check(connection)

    def _recent(self) -> Policy | None:
        return None if self._kept is None or self._kept.is_due() else self._kept.value

    def forget(self) -> None:
        """Read it from Postgres at the next call."""
        self._kept = None

    async def _check(self, connection: AsyncConnection) -> Policy:
        signature = await lock.signature(connection)
        if self._kept is None or signature != self._signature:
            policy = await load_policy(connection, self._retention)
            self._signature = signature
        else:
            policy = self._kept.value
        self._kept = Cached(policy, KEEP_SECONDS, self._monotonic)
        return policy

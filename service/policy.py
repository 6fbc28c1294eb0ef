"""The policy in force: the newest scorecards and the enabled rules, read from Postgres and kept for a moment."""

from collections.abc import Callable
from importlib import resources
from typing import Any

import msgspec
import yaml
from sqlalchemy.ext.asyncio import AsyncConnection

from scoring.advance import Policy
from scoring.documents import ScorecardDocument, parse
from scoring.rules import BandRule, Condition, Rule, ScoreRule
from scoring.scorecards import compile_scorecard, in_order
from service.errors import HealthError
from service.storage import rules, scorecards

KEEP_SECONDS = 1.0


def starter(name: str) -> Any:
    """A scorecard document that ships with the service, as parsed from its YAML."""
    return yaml.safe_load(resources.files("scoring").joinpath("starters", f"{name}.yaml").read_text())


def read_condition(kind: str, document: dict[str, Any]) -> Condition:
    """A rule's condition from its stored parts."""
    return msgspec.convert({**document, "kind": kind}, ScoreRule | BandRule)


async def load_policy(connection: AsyncConnection, retention: int) -> Policy:
    """The policy as it is in Postgres now; raises `HealthError` if no default scorecard is published."""
    published = await scorecards.newest(connection)
    try:
        cards = in_order(
            compile_scorecard(msgspec.convert(document, ScorecardDocument), version) for version, document in published
        )
    except ValueError:
        raise HealthError("No default scorecard is published", "Run: account-health migrate") from None
    stored = await rules.all_rules(connection, enabled_only=True)
    return Policy(
        scorecards=cards,
        rules=tuple(
            Rule(str(rule["id"]), rule["name"], read_condition(rule["kind"], rule["document"])) for rule in stored
        ),
        retention=retention,
    )


async def publish_default(connection: AsyncConnection, retention: int) -> bool:
    """Publish the default scorecard that ships with the service, unless one is there; says whether it did."""
    if any(document["name"] == "default" for _, document in await scorecards.newest(connection)):
        return False
    await scorecards.publish(connection, parse(starter("default"), retention))
    return True


class PolicyCache:
    """The policy, read again when it is older than a second, so that a change takes hold within that."""

    def __init__(self, retention: int, monotonic: Callable[[], float]) -> None:
        """`monotonic` is the clock by which the kept policy ages."""
        self._retention = retention
        self._monotonic = monotonic
        self._kept: tuple[float, Policy] | None = None

    async def get(self, connection: AsyncConnection) -> Policy:
        """The policy, at most `KEEP_SECONDS` old."""
        now = self._monotonic()
        if self._kept is None or now - self._kept[0] > KEEP_SECONDS:
            self._kept = (now, await load_policy(connection, self._retention))
        return self._kept[1]

    def forget(self) -> None:
        """Read it anew at the next call."""
        self._kept = None

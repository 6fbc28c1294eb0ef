"""From a crossing to the alert that tells it."""

from typing import Any
from urllib.parse import quote
from uuid import UUID

import msgspec
from msgspec import Struct

from scoring.advance import Crossing, Policy, Step
from scoring.drivers import drivers
from scoring.rules import BandRule, ScoreRule
from scoring.scorecards import MeasureResult
from service.ids import new_id
from service.storage.alerts import AlertRow


class Before(Struct, frozen=True):
    """An account as it stood before the step: what the alert compares with. `sequence` is of its last alert."""

    account_id: str
    score: float | None
    band: str
    sequence: int
    measures: dict[str, MeasureResult] | None


def crossing_alerts(
    before: Before, account_name: object, step: Step, policy: Policy, *, base_url: str, quiet: bool
) -> list[AlertRow]:
    """One alert for each crossing of a step, numbered on from the account's last."""
    scorecard = next(card for card in policy.scorecards if card.name == step.evaluation.scorecard)
    common: dict[str, Any] = {
        "account_id": before.account_id,
        "account_name": account_name,
        "score": step.evaluation.score,
        "previous_score": before.score,
        "band": step.evaluation.band,
        "previous_band": before.band,
        "drivers": drivers(before.measures, step.evaluation, scorecard),
        "url": f"{base_url}/v1/accounts/{quote(before.account_id, safe='')}/health",
    }
    return [
        _alert(crossing, {**common, "sequence": sequence}, quiet)
        for sequence, crossing in enumerate(step.crossings, start=before.sequence + 1)
    ]


def _alert(crossing: Crossing, data: dict[str, Any], quiet: bool) -> AlertRow:
    rule = crossing.rule
    threshold = rule.condition.level if isinstance(rule.condition, ScoreRule) else None
    told = {**data, "rule": rule.name, "rule_id": rule.id, "state": crossing.state, "threshold": threshold}
    return AlertRow(
        id=new_id(),
        account_id=data["account_id"],
        sequence=data["sequence"],
        rule_id=UUID(rule.id),
        rule=rule.name,
        type=_type(crossing),
        state=crossing.state,
        quiet=quiet,
        data=msgspec.json.encode(told).decode(),
    )


def _type(crossing: Crossing) -> str:
    if crossing.state == "resolved":
        return "health.threshold.resolved"
    return "health.band.changed" if isinstance(crossing.rule.condition, BandRule) else "health.threshold.crossed"

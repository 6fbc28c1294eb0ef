"""From a crossing to the alert that tells it."""

from typing import Any
from urllib.parse import quote
from uuid import UUID

import msgspec

from scoring.advance import Crossing
from scoring.drivers import drivers
from scoring.rules import BandRule, ScoreRule
from scoring.scorecards import MeasureResult, Scorecard, score
from service.changes import Crossed
from service.ids import new_id
from service.storage.alerts import AlertRow
from service.storage.scores import decode_readings
from service.storage.states import StoredAccount


def crossing_alerts(crossed: Crossed, card_before: Scorecard | None, *, base_url: str, quiet: bool) -> list[AlertRow]:
    """One alert for each crossing of a step, numbered on from the account's last.

    `card_before` made the score that was stored before; None if there was none.
    """
    before, evaluation = crossed.before, crossed.step.evaluation
    common: dict[str, Any] = {
        "account_id": before.account_id,
        "account_name": crossed.name,
        "score": evaluation.score,
        "previous_score": before.score,
        "band": evaluation.band,
        "previous_band": before.band,
        "drivers": drivers(_measures(before, card_before), evaluation),
        "url": f"{base_url}/v1/accounts/{quote(before.account_id, safe='')}/health",
    }
    return [
        _alert(crossing, {**common, "sequence": sequence}, quiet)
        for sequence, crossing in enumerate(crossed.step.crossings, start=before.sequence + 1)
    ]


def _measures(before: StoredAccount, card: Scorecard | None) -> dict[str, MeasureResult] | None:
    if card is None or before.readings is None:
        return None
    return score(decode_readings(before.readings), card, 0).measures


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

"""Composes the alert of a crossing."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote
from uuid import UUID

import msgspec

from scoring.advance import AccountStep
from scoring.history.score_run import ScoreRun
from scoring.rules.conditions import BandRule, DropRule, ScoreRule, SilenceRule
from scoring.rules.crossings import Crossing
from scoring.rules.policy import Policy
from scoring.scorecards.drivers import Driver, drivers
from scoring.scorecards.scorecard import Band, Evaluation
from scoring.state.calendar import from_micros
from service.alerts.crossed_account import CrossedAccount
from service.runtime.ids import new_id
from service.storage.alerts.alerts import AlertRow, EpisodeStart, Incident


def crossing_alerts(
    crossed: CrossedAccount,
    policy: Policy,
    *,
    base_url: str,
    digest: Callable[[Crossing], UUID | None],
    begun: Mapping[Incident, EpisodeStart],
) -> list[AlertRow]:
    """One alert for each crossing of a step, numbered on from the account's last.

    Those that have a digest aren't delivered by themselves: the digest sums them up. `begun` holds the starts of
    episodes that end.
    """
    step, account_id = crossed.step, crossed.account_id
    if not step.crossings:
        return []
    before = _evaluation(crossed.before, policy)
    score, band = _effective(step.score_run, step.evaluation)
    previous_score, previous_band = _effective(crossed.before, before)
    common: dict[str, Any] = {
        "account_id": account_id,
        "account_name": crossed.name,
        "score": score,
        "previous_score": previous_score,
        "band": band,
        "previous_band": previous_band,
        "drivers": _drivers(crossed.before, before, step),
        "override": _override(crossed.before, step.score_run),
        "url": f"{base_url}/v1/accounts/{quote(account_id, safe='')}/health",
    }
    return [
        _alert(crossing, {**common, "sequence": sequence}, digest(crossing), begun)
        for sequence, crossing in enumerate(step.crossings, start=crossed.sequence + 1)
    ]


def ending(crossed: Sequence[CrossedAccount]) -> list[Incident]:
    """The incidents that are over."""
    return [
        (each.account_id, UUID(crossing.rule.id))
        for each in crossed
        for crossing in each.step.crossings
        if crossing.state == "resolved"
    ]


def _evaluation(score_run: ScoreRun | None, policy: Policy) -> Evaluation | None:
    card = policy.find(score_run.scorecard, score_run.version) if score_run else None
    return score_run.evaluation(card) if score_run and card else None


def _effective(score_run: ScoreRun | None, evaluation: Evaluation | None) -> tuple[float | None, Band]:
    """The effective score and band: the computed ones, or those set by hand."""
    if score_run is None or evaluation is None:
        return None, "unknown"
    return score_run.override.over(evaluation) if score_run.override else (evaluation.score, evaluation.band)


def _drivers(score_run: ScoreRun | None, before: Evaluation | None, step: AccountStep) -> list[Driver]:
    """No drivers for a score set by hand; the drivers from scratch after one."""
    if _is_by_hand(step.score_run):
        return []
    return drivers(None if _is_by_hand(score_run) else before, step.evaluation)


def _is_by_hand(score_run: ScoreRun | None) -> bool:
    return score_run is not None and score_run.override is not None and score_run.override.score is not None


def _override(before: ScoreRun | None, score_run: ScoreRun) -> dict[str, Any] | None:
    """The override that is in force, or that just ended: the alert's score and band result from it, or from its end."""
    earlier = before.override if before else None
    shown = score_run.override or earlier
    if shown is None:
        return None
    return {
        "author": shown.author,
        "reason": shown.reason,
        "score": shown.score,
        "band": shown.band,
        "ended": score_run.override is None,
    }


def _alert(
    crossing: Crossing, data: dict[str, Any], digest: UUID | None, begun: Mapping[Incident, EpisodeStart]
) -> AlertRow:
    rule, alert_id = crossing.rule, new_id()
    payload = {
        **data,
        "rule": rule.name,
        "rule_id": rule.id,
        "state": crossing.state,
        "threshold": _threshold(crossing),
        "episode": _episode(crossing, data, alert_id, begun),
        "churned_on": crossing.churned_on,
        "playbook_url": rule.condition.playbook_url,
    }
    return AlertRow(
        id=alert_id,
        account_id=data["account_id"],
        sequence=data["sequence"],
        rule_id=UUID(rule.id),
        rule=rule.name,
        type=_type(crossing),
        state=crossing.state,
        in_digest=digest is not None,
        data=msgspec.json.encode(payload).decode(),
        digest_id=digest,
    )


def _episode(
    crossing: Crossing, data: dict[str, Any], alert_id: UUID, begun: Mapping[Incident, EpisodeStart]
) -> dict[str, Any]:
    """The facts that stay the same from firing to end, even if rule and account change meanwhile."""
    rule = crossing.rule
    episode = {"id": alert_id, "began_at": from_micros(crossing.began_at), "rule": rule.name, "rule_id": rule.id}
    episode["band"] = data["band"]
    first = begun.get((data["account_id"], UUID(rule.id))) if crossing.state == "resolved" else None
    return episode if first is None else episode_of(first, UUID(rule.id))


def episode_of(first: EpisodeStart, rule: UUID) -> dict[str, Any]:
    """An episode of a rule, as the alert that began it has it.

    Episodes begun by an earlier version are known to receivers without the rule's id.
    """
    rule_id = rule if first.has_episode else None
    return {"id": first.id, "began_at": first.created_at, "rule": first.rule, "rule_id": rule_id, "band": first.band}


def _threshold(crossing: Crossing) -> float | None:
    condition = crossing.rule.condition
    if isinstance(condition, ScoreRule | SilenceRule):
        return condition.level
    return condition.points if isinstance(condition, DropRule) else None


def _type(crossing: Crossing) -> str:
    if crossing.state == "resolved":
        return "health.threshold.resolved"
    if isinstance(crossing.rule.condition, BandRule):
        return "health.band.changed"
    return "health.score.dropped" if isinstance(crossing.rule.condition, DropRule) else "health.threshold.crossed"

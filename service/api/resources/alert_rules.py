"""/v1/alert-rules: the conditions over scores that cause alerts."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict
from sqlalchemy.exc import IntegrityError

from service.api.access.auth import READ, WRITE
from service.api.access.deps import Api, Context
from service.api.http.openapi_helpers import json_request_body
from service.api.http.problems import ProblemError, not_found
from service.api.http.request_bodies import JsonObject
from service.api.resources.alert_rule_document import BODY, EXAMPLE, PATCH_BODY, parse_rule, patched
from service.evaluation.reevaluation import begin_for_rule
from service.runtime.ids import new_id
from service.storage.alerts.digests import RuleChange
from service.storage.policy import rules

router = APIRouter(prefix="/v1/alert-rules", tags=["alerts"])


class AlertRule(BaseModel):
    """A rule: the fields that every kind has, and those of its kind."""

    model_config = ConfigDict(extra="allow")

    id: UUID
    name: str
    kind: str
    enabled: bool
    created_at: datetime
    updated_at: datetime


class ChangedAlertRule(AlertRule):
    """A rule after a change. `reevaluation` shows how far accounts have been re-evaluated with it."""

    reevaluation: UUID


class AlertRulePage(BaseModel):
    """Rules; all of them."""

    items: Sequence[AlertRule]
    next_page_token: None = None


@router.get("", summary="List alert rules", dependencies=READ)
async def list_rules(api: Api) -> AlertRulePage:
    """All rules, by name."""
    async with api.reads.connect() as connection:
        stored = await rules.all_rules(connection)
    return AlertRulePage(items=[_shown(rule) for rule in stored])


@router.post(
    "",
    status_code=201,
    summary="Create an alert rule",
    dependencies=WRITE,
    openapi_extra=json_request_body(BODY, EXAMPLE),
)
async def create_rule(body: JsonObject, api: Api) -> ChangedAlertRule:
    """Create a rule. Kind `score` fires beyond a level, `drop` after a fall of `points` within `days`, `band` when the
    band becomes one of `to`, `silence` when an account has been without usage for `level` times its own rhythm.

    Existing accounts fire within moments, summed up in one `health.digest`. Names are unique: 409.
    """
    return await _save(api, new_id(), body, is_new=True)


@router.get("/{rule_id}", summary="One alert rule", dependencies=READ)
async def read_rule(rule_id: UUID, api: Api) -> AlertRule:
    """A rule."""
    async with api.reads.connect() as connection:
        return _shown(_found(await rules.get(connection, rule_id)))


@router.put(
    "/{rule_id}", summary="Replace an alert rule", dependencies=WRITE, openapi_extra=json_request_body(BODY, EXAMPLE)
)
async def replace_rule(rule_id: UUID, body: JsonObject, api: Api) -> ChangedAlertRule:
    """Replace a rule. Omitted fields take their defaults."""
    return await _save(api, rule_id, body, is_new=False)


@router.patch(
    "/{rule_id}",
    summary="Change an alert rule",
    dependencies=WRITE,
    openapi_extra=json_request_body(PATCH_BODY, {"enabled": False}),
)
async def change_rule(rule_id: UUID, body: JsonObject, api: Api) -> ChangedAlertRule:
    """Change a rule. Omitted fields stay, and null restores the default."""
    async with api.reads.connect() as connection:
        stored = _found(await rules.get(connection, rule_id))
    written = {**stored["document"], **{name: stored[name] for name in ("name", "kind", "enabled")}}
    return await _save(api, rule_id, patched(written, body), is_new=False)


@router.delete("/{rule_id}", status_code=204, summary="Delete an alert rule", dependencies=WRITE)
async def delete_rule(rule_id: UUID, api: Api) -> None:
    """Delete a rule. Its alerts stay; those that fire are resolved within moments. Each receiver of an alert is sent
    its end: for people, and for receivers of a digest, in one `health.digest`.
    """
    async with api.engine.begin() as connection:
        rule = _found(await rules.get(connection, rule_id))
        if not await rules.remove(connection, rule_id):
            raise not_found("alert rule")
        await begin_for_rule(connection, rule_id, rule["name"], api.clock(), "deleted")
    api.policies.forget()


async def _save(api: Context, rule_id: UUID, body: dict[str, Any], *, is_new: bool) -> ChangedAlertRule:
    rule = parse_rule(body)
    try:
        async with api.engine.begin() as connection:
            before = None if is_new else _found(await rules.get(connection, rule_id))
            if before is None:
                stored = await rules.create(connection, {"id": rule_id, **rule})
            else:
                stored = _found(await rules.replace(connection, rule_id, rule))
            begun = await begin_for_rule(connection, rule_id, rule["name"], api.clock(), _change(before, stored))
    except IntegrityError:
        raise ProblemError(409, f"There is an alert rule named {rule['name']!r} already.") from None
    api.policies.forget()
    return ChangedAlertRule(**_shown(stored).model_dump(), reevaluation=begun)


def _change(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> RuleChange:
    """The change of a rule, in one word: turning it on or off matters more than its contents."""
    if before is None:
        return "created"
    if before["enabled"] == after["enabled"]:
        return "changed"
    return "enabled" if after["enabled"] else "disabled"


def _found(rule: dict[str, Any] | None) -> dict[str, Any]:
    if rule is None:
        raise not_found("alert rule")
    return rule


def _shown(rule: dict[str, Any]) -> AlertRule:
    return AlertRule(**{**rule.pop("document"), **rule})

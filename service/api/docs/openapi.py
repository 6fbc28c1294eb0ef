"""The OpenAPI document: schemas of bodies and answers, errors, and the text at the top.

Bodies that the scoring core or the event decoder checks are described from those very types, so that the documentation
can't promise anything else.
"""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI

from scoring.rules.conditions import BandRule, DropRule, ScoreRule, SilenceRule
from scoring.scorecards.catalogue import CATALOGUE
from scoring.scorecards.document import ScorecardDocument
from service.api.docs.openapi_responses import describe_answers
from service.api.http.openapi_helpers import _REF, RULES, schema_ref
from service.api.http.problems import Problem
from service.api.resources.health_document import Health
from service.api.resources.history_document import History, Why
from service.api.resources.preview_document import Preview
from service.jobs.backtest.job_request import BacktestRequest
from service.messaging import event_schemas
from service.runtime import text

DESCRIPTION = """
A live health score for every customer account: how it stands **right now**, why, and an alert when that changes.

* Every route but `/livez`, `/readyz` and this documentation needs an API key: `Authorization: Bearer hk_…`.
* `/asyncapi.json` describes the messages in Kafka.
* Errors are RFC 9457 problems; where fields of the request are at fault, `errors` names each.
* Lists are read page by page: pass `next_page_token` as `page_token` until it is null.
* Answers to GET carry an `ETag`; send it as `If-None-Match` and an unchanged answer costs a 304.
* Account ids in paths are percent-encoded, `/` as `%2F`.
"""

TAGS = [
    {"name": "accounts", "description": "Accounts, their attributes and their health."},
    {"name": "events", "description": "Sending events about accounts."},
    {"name": "scorecards", "description": "The makings of a score: measures, curves and weights, in versions."},
    {"name": "alerts", "description": "Rules over the score, and the alerts they cause."},
    {"name": "webhooks", "description": "Receivers of alerts, and the state of deliveries."},
    {"name": "operations", "description": "Keys, refused records, probes and metrics."},
]

_STRUCTS = (
    Health,
    History,
    Why,
    Preview,
    Problem,
    BacktestRequest,
    ScorecardDocument,
    ScoreRule,
    DropRule,
    BandRule,
    SilenceRule,
)
_RULE_HEAD = {
    "name": {"type": "string", "minLength": 1, "maxLength": 200, **text.PRINTABLE_SCHEMA},
    "enabled": {"type": "boolean", "default": True},
}
"""The fields of a rule beside its condition; `service.api.resources.alert_rule_document` reads them."""


class DescribedAPI(FastAPI):
    """FastAPI, with the schemas of types that it doesn't know itself."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document."""
        if self.openapi_schema is None:
            document = super().openapi()
            document["components"]["schemas"].update(_components())
            describe_answers(document)
        assert self.openapi_schema is not None
        return self.openapi_schema


def _components() -> dict[str, Any]:
    schemas = event_schemas.components(_REF + "{name}", _STRUCTS)
    for rule in RULES:
        schemas[rule]["properties"].update(_RULE_HEAD)
        schemas[rule]["required"].append("name")
    schemas["RulePatch"] = _patch_of([schemas[rule] for rule in RULES])
    schemas["MeasureDocument"]["properties"]["measure"]["enum"] = [*CATALOGUE]
    kinds = [schema_ref(event_schemas.event_name(signal)) for signal in event_schemas.SIGNALS]
    return {**schemas, "Event": {"oneOf": kinds, "title": "Event"}}


def _patch_of(rules: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Any of the fields of rules, or null for the default."""
    fields: dict[str, Any] = {}
    for rule in rules:
        for name, schema in rule["properties"].items():
            forms = fields.setdefault(name, [{"type": "null"}])
            forms += [form for form in schema.get("anyOf", [schema]) if form not in forms]
    return {
        "title": "RulePatch",
        "description": "Any of the fields of a rule of the kind; null restores the default.",
        "type": "object",
        "properties": {name: {"anyOf": forms} for name, forms in fields.items()},
        "additionalProperties": False,
    }

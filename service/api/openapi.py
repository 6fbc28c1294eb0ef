"""What the API says about itself: the schemas of bodies and answers, errors, and the text at the top.

Bodies that the scoring core or the event decoder checks are described from those very types, so that the
documentation can't promise anything else.
"""

from typing import Any

import msgspec
from fastapi import FastAPI
from msgspec import Struct
from pydantic import BaseModel

from scoring.documents import ScorecardDocument
from scoring.rules import BandRule, DropRule, ScoreRule, SilenceRule
from service import cloudevents
from service.api.health_document import Health
from service.api.history_documents import History, Why
from service.api.preview_document import Preview
from service.api.problems import MEDIA_TYPE, Problem
from service.settings import Signal

DESCRIPTION = """
A live health score for every customer account: how it stands **right now**, why, and an alert when that changes.

* Every route but `/livez`, `/readyz` and this documentation needs an API key: `Authorization: Bearer hk_…`.
* Errors are RFC 9457 problems; where fields of the request are at fault, `errors` names each.
* Lists are read page by page: pass `next_page_token` as `page_token` until it is null.
* Answers to GET carry an `ETag`; send it as `If-None-Match` and an unchanged answer costs a 304.
* Account ids in paths are percent-encoded, `/` as `%2F`.
"""

TAGS = [
    {"name": "accounts", "description": "Accounts, their attributes and their health."},
    {"name": "events", "description": "Facts about accounts, in."},
    {"name": "scorecards", "description": "What makes a score: measures, curves and weights, in versions."},
    {"name": "alerts", "description": "Rules over the score, and the alerts that come of them."},
    {"name": "webhooks", "description": "Where alerts are sent, and what became of them."},
    {"name": "operations", "description": "Keys, refused records, probes and metrics."},
]

RULES = ("ScoreRule", "DropRule", "BandRule", "SilenceRule")
_REF = "#/components/schemas/"
_STRUCTS: dict[str, Any] = {
    "Health": Health,
    "History": History,
    "Why": Why,
    "Preview": Preview,
    "Problem": Problem,
    "Scorecard": ScorecardDocument,
    "ScoreRule": ScoreRule,
    "DropRule": DropRule,
    "BandRule": BandRule,
    "SilenceRule": SilenceRule,
}
_RULE_HEAD = {
    "name": {"type": "string", "minLength": 1, "maxLength": 200},
    "enabled": {"type": "boolean", "default": True},
}
"""What a rule has beside its condition; `service.api.rule_documents` reads it."""


class DescribedAPI(FastAPI):
    """FastAPI, with the schemas of types that it doesn't know itself."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document."""
        document = super().openapi()
        document["components"]["schemas"].update(_components())
        return document


def ref(name: str) -> dict[str, str]:
    """A reference to a schema of ours."""
    return {"$ref": _REF + name}


def answers(model: type[Struct]) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that encodes its own answer."""
    return {200: {"description": "OK", "content": {"application/json": {"schema": ref(model.__name__)}}}}


ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"description": description, "content": {MEDIA_TYPE: {"schema": ref("Problem")}}}
    for status, description in {
        "4XX": "The request is at fault; `detail` and `errors` say how.",
        "5XX": "The service or something behind it is; with `Retry-After` it is worth trying again.",
    }.items()
}


def takes(schema: dict[str, Any] | type[BaseModel], example: object, *more: str) -> dict[str, Any]:
    """The `openapi_extra` of a route that reads its own JSON body; `more` are media types beside application/json."""
    if not isinstance(schema, dict):
        schema = schema.model_json_schema()
    content = {media_type: {"schema": schema, "example": example} for media_type in ("application/json", *more)}
    return {"requestBody": {"required": True, "content": content}}


def _components() -> dict[str, Any]:
    signals: tuple[Signal, ...] = ("usage", "ticket", "survey", "account")
    structs = {**_STRUCTS, **{f"{signal}-data": cloudevents.data_of(signal) for signal in signals}}
    (_, schemas) = msgspec.json.schema_components(structs.values(), ref_template=_REF + "{name}")
    for rule in RULES:
        schemas[rule]["properties"].update(_RULE_HEAD)
        schemas[rule]["required"].append("name")
    return {
        **schemas,
        "Event": {"oneOf": [ref(_event_name(signal)) for signal in signals], "title": "Event"},
        **{_event_name(signal): _event(signal) for signal in signals},
    }


def _event_name(signal: Signal) -> str:
    return f"{signal.capitalize()}Event"


def _event(signal: Signal) -> dict[str, Any]:
    data = cloudevents.data_of(signal)
    text = {"type": "string"}
    return {
        "type": "object",
        "title": f"CloudEvent {cloudevents.type_of(signal)}",
        "required": ["specversion", "type", "source", "id", "subject", "time", "data"],
        "properties": {
            "specversion": {"const": "1.0"},
            "type": {"const": cloudevents.type_of(signal)},
            "source": {**text, "description": "Who sends it. `source` and `id` together identify the event."},
            "id": text,
            "subject": {**text, "description": "The account id."},
            "time": {**text, "format": "date-time"},
            "data": ref(data.__name__),
            "backfill": {"type": "boolean", "default": False, "description": "Loaded history, told to nobody."},
        },
    }

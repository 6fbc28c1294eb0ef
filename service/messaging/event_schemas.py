"""JSON Schema of events, derived from the very types that decode them, so that it can't promise anything else.
Whatever the schemas refuse is refused; limits that they can't express, such as times in the future, may still be
refused.
"""

from collections.abc import Sequence
from inspect import cleandoc
from typing import Any, get_args

import msgspec
from msgspec import Struct

from service.messaging import cloudevents
from service.messaging.event_builders import MOST_MONEY
from service.runtime.settings import Signal

SIGNALS: tuple[Signal, ...] = get_args(Signal)
EXAMPLES: dict[Signal, dict[str, Any]] = {
    "usage": {"feature": "login", "user_id": "u-17"},
    "ticket": {"ticket_id": "4711", "status": "open", "priority": "high", "created_at": "2026-01-31T08:12:00Z"},
    "survey": {"survey": "nps", "response_id": "r-9", "respondent_id": "u-17", "score": 9},
    "account": {"name": "Acme", "segment": "enterprise", "seats": 40, "arr": 120000, "renews_on": "2026-12-31"},
}
"""Example `data` for an event of each kind."""


_MONEY = {
    "type": ["number", "string"],
    "minimum": 0,
    "maximum": MOST_MONEY,
    "pattern": r"^\s*[-+]?(?=_*\.?_*\d)[\d_]*(\.[\d_]*)?([eE][-+]?[\d_]+)?\s*$",
    "description": 'A number, or its text: 1200 or "1200.50".',
}
"""msgspec reads decimals from both, but would describe them as text alone."""


_BASE64 = {
    "type": ["string", "null"],
    "contentEncoding": "base64",
    "contentMediaType": "application/json",
    "description": "In place of `data`: the same JSON as base64.",
}


def event_name(signal: Signal) -> str:
    """The name of the schema of a signal's events."""
    return f"{signal.capitalize()}Event"


def data_name(signal: Signal) -> str:
    """The name of the schema of their `data`."""
    return cloudevents.data_of(signal).__name__


def example(signal: Signal) -> dict[str, Any]:
    """A complete example event."""
    return {
        "specversion": "1.0",
        "type": cloudevents.type_of(signal),
        "source": "https://app.example.com",
        "id": "7f3a1c",
        "subject": "acme",
        "time": "2026-01-31T09:00:00Z",
        "data": EXAMPLES[signal],
    }


def components(ref_template: str, more: Sequence[type[Struct]] = ()) -> dict[str, Any]:
    """The schemas of events and their data, and of `more` structs, by name. `ref_template` holds `{name}`."""
    envelopes = [cloudevents.envelope_of(signal) for signal in SIGNALS]
    heads, schemas = msgspec.json.schema_components([*envelopes, *more], ref_template=ref_template)
    for signal, head in zip(SIGNALS, heads, strict=False):
        envelope = schemas.pop(head["$ref"].removeprefix(ref_template.format(name="")))
        schemas[event_name(signal)] = _described(signal, envelope)
    for schema in schemas.values():
        if "description" in schema:
            # Indented paragraphs of a docstring would be shown as code.
            schema["description"] = cleandoc(schema["description"])
    schemas[data_name("account")]["properties"]["arr"] = {"anyOf": [_MONEY, {"type": "null"}]}
    return dict(schemas)


def _described(signal: Signal, envelope: dict[str, Any]) -> dict[str, Any]:
    properties = {**envelope["properties"], "type": {"const": cloudevents.type_of(signal)}, "data_base64": _BASE64}
    required = [name for name in envelope["required"] if name != "data"]
    either = [
        {"required": ["data"], "properties": {"data_base64": {"type": "null"}}},
        {"required": ["data_base64"], "properties": {"data_base64": {"type": "string"}}},
    ]
    schema = {**envelope, "title": event_name(signal), "properties": properties, "required": required}
    return {**schema, "anyOf": either}

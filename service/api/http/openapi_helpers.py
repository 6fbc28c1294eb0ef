"""Pieces of OpenAPI that routes declare: references, answers and bodies."""

from typing import Any

from msgspec import Struct
from pydantic import BaseModel

RULES = ("ScoreRule", "DropRule", "BandRule", "SilenceRule")


_REF = "#/components/schemas/"


def schema_ref(name: str) -> dict[str, str]:
    """A reference to a schema of this document."""
    return {"$ref": _REF + name}


def json_responses(model: type[Struct]) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that encodes its own answer."""
    return {200: {"description": "OK", "content": {"application/json": {"schema": schema_ref(model.__name__)}}}}


def json_request_body(schema: dict[str, Any] | type[BaseModel], example: object, *more: str) -> dict[str, Any]:
    """The `openapi_extra` of a route that reads its own JSON body; `more` are media types beside application/json."""
    if not isinstance(schema, dict):
        schema = schema.model_json_schema()
    content = {media_type: {"schema": schema, "example": example} for media_type in ("application/json", *more)}
    return {"requestBody": {"required": True, "content": content}}

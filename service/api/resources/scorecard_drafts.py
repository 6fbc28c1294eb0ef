"""/v1/scorecards/validate, …/diff and …/preview: a draft before it is published. Nothing is written."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel

from scoring.scorecards.diff import differences
from scoring.scorecards.document import parse
from scoring.whatif.preview import draft
from service.api.access.auth import READ, WRITE
from service.api.access.deps import Api
from service.api.http.openapi_helpers import json_request_body, json_responses, schema_ref
from service.api.http.problems import FieldError
from service.api.http.request_bodies import JsonObject
from service.api.middleware.load_shedding import allow
from service.api.resources.preview_document import Preview, document
from service.api.resources.scorecards import EXAMPLE, FieldWarning, shown
from service.evaluation.preview import preview_accounts, sample
from service.evaluation.scorecards import all_warnings, in_force

router = APIRouter(prefix="/v1/scorecards", tags=["scorecards"])
_DRAFT = json_request_body(schema_ref("ScorecardDocument"), EXAMPLE)
_encoder = msgspec.json.Encoder()
LONGEST_PREVIEW = 300.0
"""Seconds: a hundred thousand accounts take longer than other requests may."""


class Validation(BaseModel):
    """A document that can be published: without problems, which are a 422, but possibly with warnings."""

    problems: Sequence[FieldWarning] = ()
    warnings: Sequence[FieldWarning]


class FieldDifference(BaseModel):
    """A field with its value before and after; null if it doesn't exist. A measure's fields are listed under
    its name.
    """

    field: str
    before: Any
    after: Any


class Differences(BaseModel):
    """The differences from the newest published version of the name; everything if `from_version` is null."""

    name: str
    from_version: int | None
    differences: Sequence[FieldDifference]


@router.post("/validate", summary="Check a draft", dependencies=READ, openapi_extra=_DRAFT)
async def validate_scorecard(body: JsonObject, api: Api) -> Validation:
    """Check a document as publishing would: a 422 names every field at fault. With warnings it can be published."""
    checked = parse(body, api.settings.retention_days)
    async with api.reads.connect() as connection:
        return Validation(warnings=shown(await all_warnings(connection, checked)))


@router.post("/diff", summary="Compare a draft with the published version", dependencies=READ, openapi_extra=_DRAFT)
async def diff_scorecard(body: JsonObject, api: Api) -> Differences:
    """The changes that publishing a document would make to the newest version of its name, field by field."""
    checked = parse(body, api.settings.retention_days)
    async with api.reads.connect() as connection:
        published = (await in_force(connection)).get(checked.name)
    found = differences(published.document if published else None, checked)
    return Differences(
        name=checked.name,
        from_version=published.version if published else None,
        differences=[FieldDifference(field=each.field, before=each.before, after=each.after) for each in found],
    )


@router.post(
    "/preview",
    summary="Preview publishing a draft",
    dependencies=WRITE,
    responses=json_responses(Preview),
    openapi_extra=_DRAFT,
)
async def preview_scorecard(
    request: Request,
    body: JsonObject,
    api: Api,
    accounts: Annotated[
        int,
        Query(
            ge=1,
            le=100_000,
            description="Score an even sample of at most this many accounts, always the same ones.",
        ),
    ] = 20_000,
) -> Response:
    """Score accounts as if a document were published now: the changes of bands and scores, and the alerts they cause.

    Takes about a second for 5,000 accounts.
    """
    allow(request, LONGEST_PREVIEW)
    checked = parse(body, api.settings.retention_days)
    async with api.reads.connect() as connection:
        planned = draft(checked, await api.policies.recent(connection))
        warned = [FieldError(each.field, each.message) for each in await all_warnings(connection, checked)]
    drawn = await sample(api.reads, accounts)
    summary = await preview_accounts(api.reads, drawn, planned, api.clock())
    answer = document(planned, drawn.accounts, summary, warned)
    return Response(_encoder.encode(answer), media_type="application/json")

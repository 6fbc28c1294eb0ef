"""/v1/scorecards: published scorecards, and publishing one."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel

from scoring.scorecards.document import ScorecardProblem, parse
from service.api.access.auth import READ, WRITE
from service.api.access.deps import Api
from service.api.http.openapi_helpers import json_request_body, schema_ref
from service.api.http.problems import not_found
from service.api.http.request_bodies import JsonObject
from service.evaluation.policy import starter
from service.evaluation.publishing import publish
from service.evaluation.scorecards import all_warnings
from service.storage.policy import scorecards

router = APIRouter(prefix="/v1/scorecards", tags=["scorecards"])
EXAMPLE = {
    **starter("default"),
    "calibration": {
        "calibrated_on": "2026-01-02",
        "source": "events-2025.parquet",
        "first_day": "2025-02-01",
        "last_day": "2025-12-28",
        "lead_days": 3,
        "horizon_days": None,
        "decisions": 2815,
        "churned": 74,
        "probabilities": [[0, 0.31], [50, 0.11], [100, 0.002]],
    },
}
Name = Annotated[str, Path(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]


class PublishedVersion(BaseModel):
    """One version of a scorecard. It never changes."""

    name: str
    version: int
    published_at: datetime
    document: dict[str, Any]


class VersionPage(BaseModel):
    """Published versions; all of them."""

    items: Sequence[PublishedVersion]
    next_page_token: None = None


class FieldWarning(BaseModel):
    """A field that is allowed as it is, but probably not intended."""

    field: str
    message: str


class Version(BaseModel):
    """A document's version, and warnings about it."""

    name: str
    version: int
    warnings: Sequence[FieldWarning]


def shown(warnings: Iterable[ScorecardProblem]) -> list[FieldWarning]:
    """Warnings in the form of the answer."""
    return [FieldWarning(field=each.field, message=each.message) for each in warnings]


@router.get("", summary="The scorecards in force", dependencies=READ)
async def list_scorecards(api: Api) -> VersionPage:
    """The newest version of every scorecard: those in force."""
    async with api.reads.connect() as connection:
        versions = await scorecards.versions(connection)
    newest = {each["name"]: PublishedVersion(**each) for each in reversed(versions)}
    return VersionPage(items=sorted(newest.values(), key=lambda each: each.name))


@router.post(
    "",
    status_code=201,
    summary="Publish a scorecard",
    dependencies=WRITE,
    responses={200: {"model": Version, "description": "The newest version has this content already."}},
    openapi_extra=json_request_body(schema_ref("ScorecardDocument"), EXAMPLE),
)
async def publish_scorecard(body: JsonObject, api: Api, response: Response) -> Version:
    """Publish a document as the newest version of its name. Every account is scored by it within moments.

    One that differs in its calibration alone moves no score: no alert or change comes of it.
    """
    document = parse(body, api.settings.retention_days)
    async with api.engine.begin() as connection:
        warnings = await all_warnings(connection, document)
        published = await publish(connection, document, api.clock())
    if published.reevaluation is None:
        response.status_code = 200
    else:
        api.policies.forget()
    return Version(name=document.name, version=published.version, warnings=shown(warnings))


@router.get("/{name}/versions", summary="All versions of a scorecard", dependencies=READ)
async def list_versions(name: Name, api: Api) -> VersionPage:
    """Every published version of one scorecard, the newest first."""
    async with api.reads.connect() as connection:
        versions = await scorecards.versions(connection, name)
    if not versions:
        raise not_found("scorecard")
    return VersionPage(items=[PublishedVersion(**each) for each in versions])


@router.get("/{name}/versions/{version}", summary="One version of a scorecard", dependencies=READ)
async def read_version(name: Name, version: Annotated[int, Path(ge=1, le=2**31 - 1)], api: Api) -> PublishedVersion:
    """One published version, in force or not."""
    async with api.reads.connect() as connection:
        found = await scorecards.get(connection, name, version)
    if found is None:
        raise not_found("version of this scorecard")
    return PublishedVersion(**found)

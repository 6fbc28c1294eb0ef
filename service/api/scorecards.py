"""/v1/scorecards: published scorecards, and publishing one."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel

from scoring.documents import parse
from service.api.auth import READ, WRITE
from service.api.bodies import JsonObject
from service.api.deps import Api
from service.api.openapi import ref, takes
from service.api.problems import not_found
from service.policy import starter
from service.storage import scorecards, scores

router = APIRouter(prefix="/v1/scorecards", tags=["scorecards"])


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


class Version(BaseModel):
    """Which version a document is."""

    name: str
    version: int


@router.get("", summary="The scorecards in force", dependencies=READ)
async def list_scorecards(api: Api) -> VersionPage:
    """The newest version of every scorecard: what accounts are judged by."""
    async with api.reads.connect() as connection:
        versions = await scorecards.versions(connection)
    newest = {each["name"]: PublishedVersion(**each) for each in reversed(versions)}
    return VersionPage(items=sorted(newest.values(), key=lambda each: each.name))


@router.post(
    "",
    status_code=201,
    summary="Publish a scorecard",
    dependencies=WRITE,
    responses={200: {"model": Version, "description": "This very document is the newest version already."}},
    openapi_extra=takes(ref("ScorecardDocument"), starter("default")),
)
async def publish_scorecard(body: JsonObject, api: Api, response: Response) -> Version:
    """Publish a document as the newest version of its name. Every account is judged by it within moments."""
    document = parse(body, api.settings.retention_days)
    async with api.engine.begin() as connection:
        version, is_new = await scorecards.publish(connection, document)
        if is_new:
            await scores.make_all_due(connection)
    if is_new:
        api.policies.forget()
    else:
        response.status_code = 200
    return Version(name=document.name, version=version)


@router.get("/{name}/versions", summary="All versions of a scorecard", dependencies=READ)
async def list_versions(name: Annotated[str, Path(pattern=r"^[a-z][a-z0-9_-]{0,62}$")], api: Api) -> VersionPage:
    """Every published version of one scorecard, the newest first."""
    async with api.reads.connect() as connection:
        versions = await scorecards.versions(connection, name)
    if not versions:
        raise not_found("scorecard")
    return VersionPage(items=[PublishedVersion(**each) for each in versions])

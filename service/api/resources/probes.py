"""Probes for machines: is it alive, is it ready, and its metrics."""

from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from prometheus_client import REGISTRY
from prometheus_client.exposition import choose_encoder
from pydantic import BaseModel, Field
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from service.api.access.auth import READ
from service.api.access.deps import Api
from service.api.http.problems import ProblemError
from service.storage.database.migrate import schema_problem
from service.storage.database.retry import POSTGRES_AWAY, trouble
from service.storage.ingest.standstill import describe, standstills

router = APIRouter(tags=["operations"])


class Alive(BaseModel):
    """The process answers."""

    status: Literal["alive"] = "alive"


class Ready(BaseModel):
    """The process can do its work."""

    status: Literal["ready"] = "ready"
    folding: str | None = Field(
        None,
        description="The reason why folding stands still: scores can be read, but don't change. Absent if it doesn't.",
    )
    clock: str | None = Field(
        None,
        description="The difference between this process's clock and the database's; from five minutes on the "
        "process goes by the latter. Absent up to a minute.",
    )


@router.get("/livez", summary="Is the process alive?")
async def livez() -> Alive:
    """Answers as long as the process does, whatever else is unavailable. Needs no key."""
    return Alive()


@router.get("/readyz", summary="Can the process do its work?", response_model_exclude_none=True)
async def readyz(api: Api) -> Ready:
    """200 if Postgres answers and has the schema; 503 says what is wrong. Needs no key.

    Kafka is not checked, and consumers that are away or halted are only mentioned in `folding`: without them everything
    can still be read. `clock` reports a clock that is more than a minute off.
    """
    try:
        async with api.reads.connect() as connection:
            missing = await schema_problem(connection)
            found = [] if missing else await standstills(connection, list(api.settings.topics.values()))
    except (DBAPIError, PoolTimeoutError, OSError, TimeoutError) as error:
        # Nothing more: anybody may read it, and the text can name hosts and users.
        kind = type(getattr(error, "orig", None) or error).__name__
        raise ProblemError(503, f"{trouble(error) or POSTGRES_AWAY} ({kind}).") from None
    if missing:
        raise ProblemError(503, missing)
    return Ready(folding=describe(found), clock=api.clock_difference() or None)


_TEXT: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "In the format that `Accept` asks for: Prometheus's text, or OpenMetrics.",
        "content": {
            media_type: {"schema": {"type": "string"}, "example": "# HELP health_alerts_total Alerts written\n"}
            for media_type in ("text/plain", "application/openmetrics-text")
        },
    }
}


@router.get("/metrics", summary="Metrics for Prometheus", dependencies=READ, response_class=Response, responses=_TEXT)
async def metrics(request: Request) -> Response:
    """Metrics in Prometheus's format. Prometheus sends a key if configured: `authorization: {type: Bearer,
    credentials_file: …}`.
    """
    encode, content_type = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(REGISTRY), headers={"Content-Type": content_type})

"""What machines ask: is it alive, is it ready, what does it measure."""

from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from prometheus_client import REGISTRY
from prometheus_client.exposition import choose_encoder
from pydantic import BaseModel
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from service.api.auth import READ
from service.api.deps import Api
from service.api.problems import ProblemError
from service.storage.readiness import what_is_missing
from service.storage.transient import trouble

router = APIRouter(tags=["operations"])


class Alive(BaseModel):
    """The process answers."""

    status: Literal["alive"] = "alive"


class Ready(BaseModel):
    """The process can do its work."""

    status: Literal["ready"] = "ready"


@router.get("/livez", summary="Is the process alive?")
async def livez() -> Alive:
    """Answers as long as the process does, whatever else is away. Needs no key."""
    return Alive()


@router.get("/readyz", summary="Can the process do its work?")
async def readyz(api: Api) -> Ready:
    """Whether Postgres answers and has the schema. 503 says what is wrong. Needs no key.

    Kafka is not asked about: without it everything can still be read.
    """
    try:
        async with api.reads.connect() as connection:
            missing = await what_is_missing(connection)
    except (DBAPIError, PoolTimeoutError, OSError, TimeoutError) as error:
        # No more than that: anybody may ask, and the text can name hosts and users.
        kind = type(getattr(error, "orig", None) or error).__name__
        raise ProblemError(503, f"{trouble(error)} ({kind}).") from None
    if missing:
        raise ProblemError(503, missing)
    return Ready()


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
    """Prometheus sends a key as it is configured: `authorization: {type: Bearer, credentials_file: …}`."""
    encode, content_type = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(REGISTRY), headers={"Content-Type": content_type})

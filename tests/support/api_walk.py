"""Every route of an app, however it was added, with values in place of its parameters."""

from collections.abc import Iterator
from typing import Any, NamedTuple
from uuid import UUID

from fastapi.routing import APIRoute
from sqlalchemy.ext.asyncio import AsyncEngine

from service.api.app import ROUTERS
from service.runtime.api_key import Scope
from service.storage.ingest import dead_letters
from service.storage.ingest.dead_letters import DeadLetterRow
from tests.support.api import Api

OPEN = frozenset({"/livez", "/readyz", "/openapi.json", "/asyncapi.json", "/docs", "/docs/{part}"})
"""Routes without a key: probes for orchestrators, and the service's description. It is the same for everybody."""

NOBODY = UUID(int=7)


class Step(NamedTuple):
    """A method and the template of a path."""

    method: str
    path: str


def all_steps(api: Api) -> list[Step]:
    """Every route and every method that it takes."""
    added = [route for route in api.app.routes if not isinstance(route, APIRoute)]
    included = [route for router in ROUTERS for route in router.routes]
    steps = {
        Step(method, getattr(route, "path_format", getattr(route, "path", "?")))
        for route in (*added, *included)
        for method in getattr(route, "methods", None) or ()
    }
    return sorted(steps)


def scopes_of(api: Api) -> dict[Step, Scope | None]:
    """The scope that each operation of the OpenAPI document asks for."""
    return {
        Step(method.upper(), path): next(
            (scopes[0] for need in operation.get("security", []) for scopes in need.values()), None
        )
        for path, methods in api.app.openapi()["paths"].items()
        for method, operation in methods.items()
    }


def filled(path: str, **values: object) -> str:
    """A path with values in place of its parameters; by default of things that don't exist."""
    known: dict[str, Any] = {
        "account_id": "acme",
        "name": "default",
        "version": 1,
        "letter_id": 1,
        "part": "swagger-ui.css",
        **values,
    }
    while "{" in path:
        before, _, rest = path.partition("{")
        name, _, after = rest.partition("}")
        path = f"{before}{known.get(name, NOBODY)}{after}"
    return path


async def something_of_everything(api: Api, engine: AsyncEngine) -> dict[str, object]:
    """Create one of everything that a path can name; their ids, by parameter."""
    rule = {"name": "r", "kind": "score", "direction": "below", "level": 40}
    assert (await api.put("/v1/accounts/acme", {"name": "Acme"})).status == 200
    created = (await api.post("/v1/alert-rules", rule)).json
    endpoint = (await api.post("/v1/webhook-endpoints", {"url": "https://crm.example.com/hooks"})).json
    sent = (await api.post(f"/v1/webhook-endpoints/{endpoint['id']}/test")).json
    key = (await api.post("/v1/api-keys", {"name": "k", "scopes": ["read"]})).json
    async with engine.begin() as connection:
        await dead_letters.insert(connection, [_refused(api)])
    return {
        "rule_id": created["id"],
        "reevaluation_id": created["reevaluation"],
        "endpoint_id": endpoint["id"],
        "delivery_id": sent["delivery_id"],
        "alert_id": (await api.get("/v1/alerts")).items[0]["id"],
        "key_id": key["id"],
        "backtest_id": (await api.post("/v1/backtests", {})).json["id"],
        "letter_id": (await api.get("/v1/dead-letters")).items[0]["id"],
    }


def _refused(api: Api) -> DeadLetterRow:
    return DeadLetterRow(
        topic="usage-events",
        partition=0,
        offset=1,
        account_id=None,
        reason="event: is not JSON",
        key=None,
        value=b"",
        headers="[]",
        recorded_at=api.clock.now,
    )


def gets(api: Api) -> Iterator[str]:
    """The template of every path that can be read."""
    return (step.path for step in all_steps(api) if step.method == "GET")

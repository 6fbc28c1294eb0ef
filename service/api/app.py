"""The application: routers, layers and what they share."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from importlib.metadata import version

from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute
from sqlalchemy.ext.asyncio import AsyncEngine
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from service.api.access.deps import Clock, Context
from service.api.access.key_cache import KeyCache
from service.api.access.rate_limits import KeyRates, WrongKeys
from service.api.docs import asyncapi, swagger_ui
from service.api.docs.openapi import DESCRIPTION, TAGS, DescribedAPI
from service.api.http import problems
from service.api.http.account_paths import SlashesInSegments
from service.api.http.request_bodies import BodyLimit
from service.api.middleware.etag import ConditionalRequests
from service.api.middleware.load_shedding import LoadShedder
from service.api.middleware.request_log import RequestLog
from service.api.resources import (
    account_forecast,
    accounts,
    alert_rules,
    alert_triage,
    alerts,
    api_keys,
    backtests,
    dead_letters,
    deliveries,
    events,
    health,
    history,
    overrides,
    probes,
    reevaluations,
    scorecard_drafts,
    scorecards,
    sources,
    upcoming_crossings,
    webhook_endpoint_actions,
    webhook_endpoints,
)
from service.evaluation.policy import PolicyCache
from service.messaging.publisher import Publisher
from service.runtime.settings import Settings
from service.runtime.vault import Vault
from service.storage.accounts.score_reader import ScoreReader

ROUTERS = (
    health.router,
    history.router,
    account_forecast.router,
    accounts.router,
    upcoming_crossings.router,
    overrides.router,
    events.router,
    scorecards.router,
    scorecard_drafts.router,
    reevaluations.router,
    backtests.router,
    alert_rules.router,
    alerts.router,
    alert_triage.router,
    webhook_endpoints.router,
    webhook_endpoint_actions.router,
    deliveries.router,
    dead_letters.router,
    sources.router,
    api_keys.router,
    probes.router,
    swagger_ui.router,
    asyncapi.router,
)
"""The routers in the order in which paths are matched, the busiest first."""


def create_app(
    settings: Settings,
    engine: AsyncEngine,
    publisher: Publisher,
    clock: Clock,
    clock_trouble: Callable[[], str] = lambda: "",
    clock_difference: Callable[[], str] = lambda: "",
) -> FastAPI:
    """The API over an engine and a publisher. It starts and stops the publisher; the engine stays the caller's.

    `clock_trouble` gives the reason why no day may be written now, `clock_difference` the difference from the
    database's clock if people should know; by default the clock is never wrong.

    Raises `HealthError` if the encryption key can't be used.
    """
    app = DescribedAPI(
        title="account-health",
        version=version("account-health"),
        description=DESCRIPTION,
        openapi_tags=TAGS,
        docs_url=None,  # `service.api.docs`
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
        lifespan=_lifespan,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # the service has its own
    )
    app.state.context = _context(settings, engine, publisher, clock, clock_trouble, clock_difference)
    problems.install(app)
    app.add_exception_handler(HTTPStatus.METHOD_NOT_ALLOWED, _method_not_allowed)
    for router in ROUTERS:
        app.include_router(router)
    # The last one added is the outermost.
    app.add_middleware(BodyLimit, limit=settings.http_max_body_bytes)
    app.add_middleware(health.PlainHealth, handlers=app.exception_handlers)
    app.add_middleware(ConditionalRequests)
    app.add_middleware(SlashesInSegments)
    app.add_middleware(LoadShedder, most=settings.http_max_requests, seconds=settings.http_timeout_seconds)
    app.add_middleware(RequestLog)
    if settings.http_trusted_proxies:
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=[str(each) for each in settings.http_trusted_proxies])
    return app


def _context(
    settings: Settings,
    engine: AsyncEngine,
    publisher: Publisher,
    clock: Clock,
    clock_trouble: Callable[[], str],
    clock_difference: Callable[[], str],
) -> Context:
    reads = engine.execution_options(isolation_level="AUTOCOMMIT")
    return Context(
        settings=settings,
        engine=engine,
        reads=reads,
        scores=ScoreReader(reads, clock),
        publisher=publisher,
        clock=clock,
        clock_trouble=clock_trouble,
        clock_difference=clock_difference,
        policies=PolicyCache(settings.retention_days, time.monotonic),
        keys=KeyCache(engine, clock),
        rates=KeyRates(settings.http_rate_limit),
        wrong_keys=WrongKeys(settings.http_wrong_keys),
        vault=Vault(settings.encryption_key),
    )


async def _method_not_allowed(request: Request, _: Exception) -> Response:
    methods: set[str] = set()
    for route in (route for router in ROUTERS for route in router.routes):
        if isinstance(route, APIRoute) and route.path_regex.match(request.scope["path"]):
            methods |= route.methods or set()
    if not methods or "GET" in methods:  # the documentation has routes of its own, for GET
        methods |= {"GET", "HEAD"}
    allowed = ", ".join(sorted(methods))
    return problems.answer(405, f"This path takes {allowed}.", headers={"Allow": allowed})


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    context: Context = app.state.context
    await context.publisher.start()
    try:
        yield
    finally:
        await context.publisher.stop()
        await context.scores.close()

"""Connections to Postgres: one engine per process, and its metrics."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, ExceptionContext, event, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from service.observability import metrics
from service.runtime.errors import HealthError
from service.runtime.settings import Settings

_WITH_FILES = ("require", "verify-ca", "verify-full")
_FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
"""Parameters of libpq that name a file, which is read if `sslmode` requires TLS."""


def async_url(database_url: str) -> URL:
    """SQLAlchemy's form of a plain `postgresql://…` URL, without parameters; raises `HealthError` if it can't be read.

    Callers that connect by it must also pass `libpq_parameters`.
    """
    return _read(database_url).set(drivername="postgresql+asyncpg", query={})


def libpq_parameters(database_url: str) -> dict[str, str]:
    """The arguments that make asyncpg take the URL's parameters as libpq does: `sslmode` and so on.

    SQLAlchemy would pass them one by one, but asyncpg knows them only as parts of a URL. Raises `HealthError`, which
    names the file, if one can't be read.
    """
    query = _read(database_url).query
    _check_files(query)
    return {"dsn": str(URL.create("postgresql", query=query))} if query else {}


def _check_files(query: Mapping[str, Any]) -> None:
    """Check that the files can be read: Python's own error doesn't name the file."""
    if query.get("sslmode") not in _WITH_FILES:
        return
    for name in _FILES:
        try:
            if path := query.get(name):
                Path(path).open("rb").close()
        except OSError as error:
            raise HealthError(
                f"{name} of HEALTH_DATABASE_URL can't be read: {path}: {error.strerror}", "Check that parameter"
            ) from None


def _read(database_url: str) -> URL:
    try:
        return make_url(database_url)
    except Exception:  # noqa: BLE001 - SQLAlchemy raises several kinds, and the text may hold the password
        raise HealthError(
            "HEALTH_DATABASE_URL can't be read", "Write it as postgresql://user:password@host:5432/name"
        ) from None


_BY_KEY = {"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off"}
"""Batches look up thousands of rows by key, and the cost must not grow with the table, whatever the statistics."""


_CUSTOM_PLANS = {"plan_cache_mode": "force_custom_plan"}
"""A queue is sometimes long and sometimes short: a plan made once for any values suits neither."""


def create_engine(
    settings: Settings,
    application: str,
    *,
    by_key: bool = False,
    custom_plans: bool = False,
    longest_statement: float | None = None,
) -> AsyncEngine:
    """An engine whose connections appear in pg_stat_activity as `account-health <application>`.

    With `by_key` rows are found through indexes only, for processes that write batches of accounts. With `custom_plans`
    every statement is planned for its values, for processes that take from a queue. Postgres cancels statements that
    take more than `longest_statement` seconds, for processes whose callers no longer wait then. READ COMMITTED is
    enough: writers lock the rows they read, in sorted order, and progress is compare-and-set.
    """
    url = settings.database_url.get_secret_value()
    engine = create_async_engine(
        async_url(url),
        pool_size=settings.database_pool_size,
        max_overflow=0,
        pool_pre_ping=True,
        hide_parameters=True,  # they hold personal data and secrets, and errors go to the log
        connect_args={
            **libpq_parameters(url),
            "timeout": 10,
            "command_timeout": 120,
            "server_settings": {
                "application_name": f"account-health {application}",
                # A process that is paused with rows locked must not block those that take over its work.
                "idle_in_transaction_session_timeout": "15000" if by_key else "60000",
                "jit": "off",
                **(_BY_KEY if by_key else {}),
                **(_CUSTOM_PLANS if custom_plans else {}),
                **({"statement_timeout": str(round(longest_statement * 1000))} if longest_statement else {}),
            },
        },
    )
    _observe(engine.sync_engine, application)
    return engine


def _observe(engine: Engine, name: str) -> None:
    """Show in the metrics whether Postgres answers and, while the engine exists, how full its pool is, under `name`."""
    metrics.POOL.watch(engine, name)
    event.listen(engine, "checkout", _answered)
    event.listen(engine, "handle_error", _failed)


def _answered(*_: Any) -> None:
    """Note a connection taken from the pool, which has tested it first."""
    _POSTGRES.set(1)


def _failed(context: ExceptionContext) -> None:
    """Note a failed statement or connection; it counts only if the server is unavailable."""
    if context.is_disconnect or context.connection is None:
        _POSTGRES.set(0)


_POSTGRES = metrics.DEPENDENCY_UP.labels("postgres")

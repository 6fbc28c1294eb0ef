"""Logs: one structured line an event, JSON for machines, readable on a terminal."""

import logging
import sys
import time
from functools import partial

import structlog

from service.observability import tracing
from service.observability.log_throttle import RepeatFilter
from service.observability.redaction import redact
from service.runtime.settings import Settings

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_NEVER_BELOW_WARNING = (
    "aiokafka",
    "aiohttp",
    "alembic",
    "asyncio",
    "sqlalchemy",
    "urllib3",
    "uvicorn",
    "opentelemetry",
)
"""Below this level they log each record that they send, with passwords and personal data."""


def configure_logs(settings: Settings, process: str) -> None:
    """Send this process's logs to standard error; `process` is in every line."""
    as_text = settings.log_format == "text" or (settings.log_format == "auto" and sys.stderr.isatty())
    renderer: structlog.types.Processor = (
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if as_text
        else structlog.processors.JSONRenderer()
    )
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        partial(_add_origin, process),
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            redact,
            renderer,
        ],
    )
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    handler.addFilter(RepeatFilter(time.monotonic))
    logging.basicConfig(handlers=[handler], level=_LEVELS[settings.log_level], force=True)
    for name in _NEVER_BELOW_WARNING:
        logging.getLogger(name).setLevel(max(logging.WARNING, _LEVELS[settings.log_level]))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.add_logger_name,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _add_origin(
    process: str, _logger: object, _method: str, event: structlog.types.EventDict
) -> structlog.types.EventDict:
    event.setdefault("process", process)
    if found := tracing.ids():
        event["trace_id"], event["span_id"] = found
    return event

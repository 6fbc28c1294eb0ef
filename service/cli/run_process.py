"""Running one process: its logs, its signals, its event loop, and its end."""

import asyncio
import signal
from collections.abc import Callable, Coroutine

import structlog
import uvloop
from sqlalchemy.exc import DBAPIError

from service.observability.logs import configure_logs
from service.observability.tracing import tracing
from service.runtime.settings import Settings
from service.runtime.signals import die_on_sigterm, stop_when_parent_dies
from service.storage.database.errors import to_operator_error

Main = Callable[[Settings, asyncio.Event], Coroutine[None, None, None]]

GRACE_SECONDS = 20.0
"""The time limit in seconds for finishing the work under way; then its transaction is rolled back."""


def run_process(name: str, main: Main, settings: Settings, *, grace_seconds: float = GRACE_SECONDS) -> None:
    """Run `main` until it ends or a signal stops it. SIGTERM and SIGINT set its stop event; a second one kills it.

    `main` is cancelled if it takes longer than `grace_seconds` to stop. Raises `HealthError` if the operator has to do
    something first.
    """
    configure_logs(settings, name)
    stop_when_parent_dies()
    with tracing(settings, name):
        uvloop.run(_supervised(main, settings, grace_seconds))


async def _supervised(main: Main, settings: Settings, grace_seconds: float) -> None:
    log = structlog.get_logger(__name__)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    working = asyncio.ensure_future(main(settings, stop))

    def ask_to_stop(number: signal.Signals) -> None:
        log.info("stopping", signal=number.name)
        stop.set()
        loop.call_later(grace_seconds, working.cancel)
        loop.remove_signal_handler(number)
        if number == signal.SIGTERM:
            die_on_sigterm()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ask_to_stop, number)
    log.info("started")
    try:
        await working
    except asyncio.CancelledError:
        if not stop.is_set():
            raise
        log.warning("given_up", after_seconds=grace_seconds)
    except DBAPIError as error:
        explained = to_operator_error(error)
        if explained is error:
            raise
        raise explained from None
    log.info("stopped")

"""The demo from its start to its end, which a signal may bring in good order."""

import asyncio
import signal
import time
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from datetime import UTC, datetime

from aiokafka.errors import KafkaError
from rich.console import Console

from service.demo.data_folder import DemoFolder, DemoMemory, DemoOptions
from service.demo.feed.backfill import load_missing
from service.demo.feed.broker_log import keep_log_short
from service.demo.feed.live import LiveTraffic
from service.demo.start import RunningService, start_service
from service.demo.startup_screen import Steps
from service.demo.view.board import Board, watch_accounts, watch_folding
from service.demo.view.plain_lines import PlainLines
from service.demo.view.screen import Screen
from service.demo.world.customers import make_customers
from service.runtime.errors import HealthError


async def until_stopped(work: Coroutine[None, None, None]) -> None:
    """Do `work`; SIGINT and SIGTERM cancel it, which is a good end. A second signal doesn't wait for it."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    stopped = False

    def stop(number: signal.Signals) -> None:
        nonlocal stopped
        stopped = True
        task.cancel()
        loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    try:
        await task
    except asyncio.CancelledError:
        if not stopped:
            raise
    except BaseExceptionGroup as group:
        raise _first(group) from group


def _first(error: BaseException) -> BaseException:
    """The error at the bottom of nested groups: of several at the same time, one is reported."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


DRAW_SECONDS = 0.5
EXAMPLE = "/v1/accounts?sort=score&page_size=3"


async def run(options: DemoOptions, console: Console) -> None:
    """Run the demo until this is cancelled, and leave nothing running. Raises `HealthError`."""
    began = time.monotonic()
    folder = DemoFolder(options.data_dir)
    memory = folder.open(options.seed, options.accounts, datetime.now(UTC))
    try:
        async with AsyncExitStack() as stack:
            stack.callback(folder.close)
            await _run(options, console, folder, memory, stack, began)
    except KafkaError as error:
        raise HealthError(f"The embedded broker can't be used: {error}", f"Its log is in {folder.path}") from error


async def _run(
    options: DemoOptions, console: Console, folder: DemoFolder, memory: DemoMemory, stack: AsyncExitStack, began: float
) -> None:
    steps = Steps(console)
    board = Board()
    customers = make_customers(memory.accounts, memory.seed, memory.began_at.date())
    with steps.shown():
        running = await start_service(options, folder, memory, board, steps, stack)
        await load_missing(running, folder, memory, customers, steps)
        running.start_rest()
    above = _welcome(console, running, folder, memory, options, time.monotonic() - began)
    traffic = LiveTraffic(running, folder, memory, customers, board)
    running.tasks.create_task(keep_log_short(running.settings, running.engine))
    running.tasks.create_task(watch_folding(running.engine, board))
    running.tasks.create_task(watch_accounts(running.client, board))
    running.tasks.create_task(traffic.flow(options.rate))
    with Screen(console, board, above) if console.is_terminal else PlainLines(console, board) as view:
        while True:
            view.draw()
            await asyncio.sleep(DRAW_SECONDS)


def _welcome(
    console: Console,
    running: RunningService,
    folder: DemoFolder,
    memory: DemoMemory,
    options: DemoOptions,
    seconds: float,
) -> int:
    """Print an introduction for the viewer; returns the number of terminal lines that it takes.

    Wrapping is left to the terminal, so that copied text is whole.
    """
    lines = [
        f"Ready in {seconds:.1f} s. Ctrl-C stops everything; the data stays in {folder.path}.",
        "",
        f"  API docs  {running.url}/docs",
        f"  API key   {running.key}",
        f"  Try       curl -H 'Authorization: Bearer {running.key}' '{running.url}{EXAMPLE}'",
        "",
    ]
    if options.accounts != memory.accounts:
        lines.insert(1, f"It continues with {memory.accounts} accounts; to have {options.accounts}, --reset it first.")
    if options.port != running.port:
        lines.insert(1, f"Port {options.port} is in use, so the API is on port {running.port}.")
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    return sum(len(line) // console.width + 1 for line in lines)

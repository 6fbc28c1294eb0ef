"""A load at the terminal: lines and bars, text that can't control it, and stopping in good order on a signal."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

MOST_CHARACTERS = 300


def readable(text: str) -> str:
    """The text, with escapes for unprintable characters, cut off after 300 characters."""
    cut = text[:MOST_CHARACTERS]
    shown = "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in cut)
    return shown if len(text) <= MOST_CHARACTERS else f"{shown}…"


def reason_of(error: Exception) -> str:
    """The first line of an error's message, as part of a sentence; its type, if it has none."""
    return readable((str(error).splitlines() or [type(error).__name__])[0].rstrip("."))


Advance = Callable[[int], None]
ProgressBar = Callable[[str, int | None], AbstractContextManager[Advance]]
"""Shows a step of long work while a block runs: its name, and the number of rows if that is known."""


class _Speed(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.finished_speed or task.speed or 0:,.0f}/s")


def say(line: str) -> None:
    """Print a line, between bars."""
    typer.echo(line)


@contextmanager
def bar(what: str, total: int | None, done: int = 0) -> Iterator[Advance]:
    """A bar on standard error while the block runs, if that is a terminal; advance it by a number of rows."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Speed(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=total, completed=done)
        yield lambda rows: progress.advance(task, rows)


class StoppedError(Exception):
    """A signal ended the load; the message gives its progress and the way to continue."""


class StopSignal(asyncio.Event):
    """Set by the first SIGINT or SIGTERM; a second one ends the process at once."""

    def __init__(self, notice: str) -> None:
        """Installs the handlers in the running event loop; the first signal prints `notice`."""
        super().__init__()
        self._notice = notice
        self.signal = signal.SIGINT
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._heard, number)

    def _heard(self, number: signal.Signals) -> None:
        typer.echo(self._notice, err=True)
        self.signal = number
        self.set()
        asyncio.get_running_loop().remove_signal_handler(number)

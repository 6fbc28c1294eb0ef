"""What a load shows while it works: lines on standard output, and bars on a terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

Advance = Callable[[int], None]


class _Speed(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.finished_speed or task.speed or 0:,.0f}/s")


def say(line: str) -> None:
    """Print a line, between bars."""
    typer.echo(line)


@contextmanager
def bar(what: str, total: int | None, done: int = 0) -> Iterator[Advance]:
    """A bar on standard error while the block runs, where that is a terminal; advance it by so many rows."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Speed(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=total, completed=done)
        yield lambda rows: progress.advance(task, rows)

"""The start of the demo on the screen: one line a step, checked when it is done."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TaskProgressColumn, TextColumn
from rich.text import Text

Tell = Callable[[float, str], None]
"""A callback with the share that is done, and a few more words."""


class Steps:
    """Shows steps as they progress; on a terminal with a spinner, else one line each when it is done."""

    def __init__(self, console: Console) -> None:
        """Nothing is shown before the first step."""
        self._console = console
        self._progress = Progress(
            _Mark(),
            TextColumn("{task.description}"),
            _OnlyWithBar(BarColumn(bar_width=30)),
            _OnlyWithBar(TaskProgressColumn()),
            TextColumn("[dim]{task.fields[more]}"),
            console=console,
            disable=not console.is_terminal,
        )

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show steps while the block runs; they stay on the screen."""
        with self._progress:
            yield

    @contextmanager
    def step(self, title: str, *, bar: bool = False) -> Iterator[Tell]:
        """A step; it is done when the block ends without an error. Gives a function that reports its progress."""
        began = time.monotonic()
        task = self._progress.add_task(title, total=1.0, more="", bar=bar, failed=False)
        words = ""

        def tell(share: float, more: str) -> None:
            nonlocal words
            words = more
            self._progress.update(task, completed=min(share, 0.999), more=more)

        try:
            yield tell
        except BaseException:
            self._progress.update(task, failed=True)
            raise
        more = f"{words + ', ' if words else ''}{time.monotonic() - began:.1f} s"
        self._progress.update(task, completed=1.0, more=more)
        if not self._console.is_terminal:
            self._console.print(f"✓ {title} ({more})", highlight=False, soft_wrap=True)


class _Mark(SpinnerColumn):
    """A spinner, until the step is done or has failed."""

    def __init__(self) -> None:
        super().__init__("dots", finished_text=Text("✓", "bold green"))

    def render(self, task: Task) -> RenderableType:
        return Text("✗", "bold red") if task.fields["failed"] else super().render(task)


class _OnlyWithBar(ProgressColumn):
    """A column that is shown only for steps with a bar."""

    def __init__(self, column: ProgressColumn) -> None:
        super().__init__()
        self._column = column

    def render(self, task: Task) -> RenderableType:
        return self._column(task) if task.fields["bar"] else Text()

"""The demo on a terminal: a picture that is redrawn twice a second."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from service.demo.view.board import Board, BoardChange
from service.demo.webhook_receiver import Received

Thing = TypeVar("Thing")
COLOURS = {"green": "green", "yellow": "yellow", "red": "red", "unknown": "bright_black"}
FRAME_LINES = 9
"""Lines of the picture that don't hold changes or webhooks."""
FEWEST, MOST = 3, 20
COLUMNS = 4
WIDE = 100


class Screen:
    """Draws the board below earlier output, so that this can still be read and copied."""

    def __init__(self, console: Console, board: Board, above: int) -> None:
        """Nothing is drawn before it is entered. `above` is the number of lines printed before, which are to stay
        visible.
        """
        self._console = console
        self._above = above
        self._board = board
        self._live = Live(console=console, auto_refresh=False, vertical_overflow="crop")

    def __enter__(self) -> "Screen":
        """Start to draw."""
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the last picture."""
        self._live.stop()

    def draw(self) -> None:
        """Draw the board as it is now."""
        lines = max(FEWEST, min(MOST, self._console.height - self._above - FRAME_LINES))
        self._live.update(picture(self._board, self._console.width, lines), refresh=True)


def picture(board: Board, width: int, lines: int) -> RenderableType:
    """The board, with `lines` lines of recent changes."""
    halves = Table.grid(expand=True)
    halves.add_column(ratio=1)
    halves.add_column(ratio=1)
    halves.add_row(
        _framed(_changes(board.changes, lines), "Score changes"),
        _framed(_webhooks(board.webhooks, lines, with_rule=width >= WIDE), "Webhooks, ✓ signature verified"),
    )
    return Group(_framed(_accounts(board, width), _title(board)), halves)


def _framed(content: RenderableType, title: str | Text) -> Panel:
    return Panel(content, title=title, title_align="left", border_style="dim")


def _title(board: Board) -> Text:
    uptime = timedelta(seconds=int(board.uptime))
    return Text.assemble(
        ("account-health", "bold"), f"  up {uptime}  {board.rate:.0f} events/s  {board.folded:,} events folded"
    )


def _accounts(board: Board, width: int) -> RenderableType:
    table = Table.grid(padding=(0, 1))
    total = max(board.bands.total(), 1)
    for band, colour in COLOURS.items():
        count = board.bands[band]
        bar = "█" * -(-count * (width - 22) // total)
        table.add_row(Text(band, colour), Text(f"{count:>4}"), Text(bar, colour, no_wrap=True))
    table.add_row("", "", Text(board.notice, "bold red", no_wrap=True, overflow="ellipsis"))
    return table


def _changes(changes: Iterable[BoardChange], lines: int) -> RenderableType:
    rows = []
    for change in _last(changes, lines):
        arrow, colour = ("▲", "green") if change.after > change.before else ("▼", "red")
        rows.append(
            [
                Text(f"{change.at:%H:%M:%S}", "dim"),
                Text(change.name, no_wrap=True, overflow="ellipsis"),
                Text.assemble(f"{change.before:.0f} → {change.after:.0f} ", (arrow, colour)),
                Text("●", COLOURS[change.band]),
            ]
        )
    return _table(rows, lines)


def _webhooks(webhooks: Iterable[Received], lines: int, *, with_rule: bool) -> RenderableType:
    rows = []
    for webhook in _last(webhooks, lines):
        mark = Text("✓", "green") if webhook.verified else Text("✗", "bold red")
        colour = "green" if webhook.data.get("state") == "resolved" else "red"
        rows.append(
            [
                Text(f"{webhook.at:%H:%M:%S}", "dim"),
                Text(webhook.name, no_wrap=True, overflow="ellipsis"),
                Text(_what(webhook.data, with_rule=with_rule), colour),
                mark,
            ]
        )
    return _table(rows, lines)


def _what(data: Mapping[str, Any], *, with_rule: bool) -> str:
    rule = f"{data.get('rule')} " if with_rule else ""
    score = data.get("score")
    return f"{rule}{data.get('state')}" + ("" if score is None else f" at {score:.1f}")


def _table(rows: Sequence[Sequence[Text]], lines: int) -> RenderableType:
    table = Table.grid(padding=(0, 1), expand=True)
    for column in range(COLUMNS):
        table.add_column(ratio=1 if column == 1 else None, no_wrap=True)
    for row in rows:
        table.add_row(*row)
    for _ in range(lines - len(rows)):
        table.add_row("")
    return table


def _last(things: Iterable[Thing], count: int) -> list[Thing]:
    return list(things)[-count:][::-1]

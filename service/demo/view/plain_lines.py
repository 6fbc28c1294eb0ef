"""The demo without a terminal: plain lines of changes, and a summary now and then."""

import time
from datetime import datetime

from rich.console import Console

from service.demo.view.board import Board

SUMMARY_SECONDS = 5.0


class PlainLines:
    """Prints what is new on the board."""

    def __init__(self, console: Console, board: Board) -> None:
        """The board's current content counts as printed."""
        self._console = console
        self._board = board
        self._changes = 0
        self._webhooks = 0
        self._notice = ""
        self._summed_up_at = 0.0

    def __enter__(self) -> "PlainLines":
        """Nothing is needed."""
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is left to do."""

    def draw(self) -> None:
        """Print the changes since the last call."""
        board = self._board
        new_changes, self._changes = board.changes_seen - self._changes, board.changes_seen
        for change in list(board.changes)[-new_changes:] if new_changes else ():
            self._print(change.at, f"score    {change.name}: {change.before:.1f} -> {change.after:.1f} ({change.band})")
        new_webhooks, self._webhooks = board.webhooks_received - self._webhooks, board.webhooks_received
        for webhook in list(board.webhooks)[-new_webhooks:] if new_webhooks else ():
            signed = "signature verified ✓" if webhook.verified else "SIGNATURE WRONG ✗"
            data = webhook.data
            what = f"{webhook.name}: {data.get('rule')} {data.get('state')}"
            self._print(webhook.at, f"webhook  {webhook.type}, {what}, {signed}")
        if board.notice != self._notice:
            self._notice = board.notice
            self._print(datetime.now().astimezone(), f"notice   {self._notice or 'all is well again'}")
        if board.bands and time.monotonic() - self._summed_up_at >= SUMMARY_SECONDS:
            self._summed_up_at = time.monotonic()
            self._print(datetime.now().astimezone(), f"accounts {self._summary()}")

    def _summary(self) -> str:
        board = self._board
        bands = ", ".join(f"{board.bands[band]} {band}" for band in ("green", "yellow", "red", "unknown"))
        return f"{bands}; {board.rate:.1f} events/s, {board.folded:,} folded; {board.webhooks_received} webhooks"

    def _print(self, at: datetime, text: str) -> None:
        self._console.print(f"{at:%H:%M:%S} {text}", highlight=False, soft_wrap=True, markup=False)

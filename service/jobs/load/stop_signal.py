"""Stopping a load in good order, on a signal."""

import asyncio
import signal

import typer


class StoppedError(Exception):
    """A signal ended the load; the message says where it stands and how to go on."""


class StopSignal(asyncio.Event):
    """Set by the first SIGINT or SIGTERM; a second one ends the process at once."""

    def __init__(self) -> None:
        """For the running event loop."""
        super().__init__()
        self.signal = signal.SIGINT
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._heard, number)

    def _heard(self, number: signal.Signals) -> None:
        typer.echo("Stopping when Kafka has confirmed what is on its way; once more stops at once.", err=True)
        self.signal = number
        self.set()
        asyncio.get_running_loop().remove_signal_handler(number)

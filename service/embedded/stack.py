"""Postgres and the broker together, in one data directory."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from secrets import token_hex

from service.embedded.broker import EmbeddedBroker
from service.embedded.postgres import EmbeddedPostgres
from service.runtime.errors import HealthError
from service.runtime.tasks import to_thread_uncancelled

WATCH_SECONDS = 1.0
_PLAIN = {
    "HEALTH_KAFKA_SECURITY_PROTOCOL": "PLAINTEXT",
    **{f"HEALTH_KAFKA_SASL_{name}": "" for name in ("MECHANISM", "USERNAME", "PASSWORD")},
    **{f"HEALTH_KAFKA_SSL_{name}_FILE": "" for name in ("CA", "CERT", "KEY")},
}
"""Our own broker listens on this machine alone without security, whatever the operator's broker needs."""


class EmbeddedStack:
    """The servers that the service needs, for as long as this process lives. Their data stays in the folder.

    The methods block: in an event loop, call them from a thread.
    """

    def __init__(self, folder: Path) -> None:
        """Nothing is started or created yet; raises `MissingExtraError` if the extra `embedded` isn't installed."""
        self._folder = folder
        self.postgres = EmbeddedPostgres(folder / "postgres")
        self.broker = EmbeddedBroker(folder / "broker")

    def start(self) -> dict[str, str]:
        """Start both at once; returns the settings that lead to them. Raises `HealthError`.

        Each run has a consumer group of its own: the broker would wait for ever for members that an earlier run left.
        Progress is in Postgres, so no group's offsets are missed.
        """
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Chosen before there are threads: a port that one of them tries would be held for a moment by a child that the
        # other forks.
        _ = self.postgres.port, self.broker.port
        try:
            with ThreadPoolExecutor(2) as threads:
                database_url = threads.submit(self.postgres.start)
                bootstrap = threads.submit(self.broker.start)
            return {
                "HEALTH_DATABASE_URL": database_url.result(),
                "HEALTH_KAFKA_BOOTSTRAP_SERVERS": bootstrap.result(),
                **_PLAIN,
                "HEALTH_KAFKA_GROUP": f"account-health-{token_hex(4)}",
                "HEALTH_KAFKA_IDLE_SECONDS": "0.1",
            }
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop both in good order."""
        with ThreadPoolExecutor(2) as threads:
            ends = [threads.submit(server.stop) for server in (self.postgres, self.broker)]
        for end in ends:
            end.result()

    async def watch(self, tell: Callable[[str], None]) -> None:
        """Restart Postgres when it dies, until cancelled; `tell` is called with a message.

        Raises `HealthError` when the broker dies: its last records are lost, so it couldn't continue the same log.
        """
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            if not self.broker.alive:
                raise HealthError("The embedded broker died", f"Its log is {self.broker.folder / 'server.log'}")
            if not self.postgres.alive:
                tell("Postgres died and is being restarted")
                await to_thread_uncancelled(self.postgres.start)

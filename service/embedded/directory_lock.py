"""One owner per data directory."""

import fcntl
import os
from pathlib import Path

from service.runtime.errors import HealthError


class DirectoryLock:
    """A lock on a directory. The system gives it back when its holder dies, however it dies."""

    def __init__(self, directory: Path) -> None:
        """Nothing is locked before `acquire`."""
        self._directory = directory
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock; raises `HealthError` if another process has it. Taking it twice is one taking."""
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

"""The demo's options, and its folder: all its files, and the lock that gives it one owner."""

import shutil
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from service.embedded.data_directory import DirectoryLock
from service.runtime.errors import HealthError
from service.runtime.private_files import write_private


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """The command's options. `accounts` counts for a new demo only: an earlier one keeps its own."""

    data_dir: Path
    accounts: int
    port: int
    rate: float
    seed: int


RESET_SECONDS = 15.0


class DemoMemory(Struct):
    """The state for the next run. `until` is the time up to which events were sent; `loaded` says that those before the
    demo were, and `scored` that the scores of the days before are in history.
    """

    seed: int
    accounts: int
    began_at: datetime
    until: datetime
    loaded: bool = False
    scored: bool = False
    troubled: list[str] = []
    receiver_port: int = 0


class DemoFolder:
    """A folder that belongs to the demo; others are left alone."""

    def __init__(self, path: Path) -> None:
        """Nothing is created before `open`."""
        self.path = path.resolve()
        self.logs = self.path / "logs"
        self.api_key = self.path / "api-key"
        self.encryption_key = self.path / "encryption-key"
        self.webhook_secret = self.path / "webhook-secret"
        self._memory = self.path / "demo.json"
        self._lock = DirectoryLock(self.path)

    def open(self, seed: int, accounts: int, now: datetime) -> DemoMemory:
        """Take the folder; returns the state that an earlier run left, else a new one.

        Raises `HealthError` if a demo runs in it, or if it isn't a demo's.
        """
        if self.path.exists() and not self._memory.exists() and any(self.path.iterdir()):
            raise HealthError(f"{self.path} holds something other than a demo", "Choose another folder with --data-dir")
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._acquire()
        self.logs.mkdir(exist_ok=True)
        if not self._memory.exists():
            self.save(DemoMemory(seed, accounts, now, now))
        return msgspec.json.decode(self._memory.read_bytes(), type=DemoMemory)

    def save(self, memory: DemoMemory) -> None:
        """Write the state, whole or not at all."""
        write_private(self._memory, msgspec.json.format(msgspec.json.encode(memory)).decode())

    def close(self) -> None:
        """Release the folder."""
        self._lock.release()

    def reset(self) -> bool:
        """Remove the folder; True if there was one. Raises `HealthError` if a demo runs in it or it isn't a demo's."""
        if not self.path.exists():
            return False
        if not self._memory.exists():
            raise HealthError(f"{self.path} is not a demo's folder", "Remove it yourself if that is what you want")
        self._acquire()
        try:
            self._remove()
        finally:
            self.close()
        return True

    def _acquire(self) -> None:
        try:
            self._lock.acquire()
        except HealthError:
            raise HealthError(f"A demo is running in {self.path}", "Stop it first, with Ctrl-C where it runs") from None

    def _remove(self) -> None:
        """Servers of a killed demo may still be writing, so it may take a few tries."""
        deadline = time.monotonic() + RESET_SECONDS
        while True:
            try:
                # The state file goes last: until then the folder is known to be a demo's.
                for path in self.path.iterdir():
                    if path != self._memory:
                        shutil.rmtree(path) if path.is_dir() else path.unlink()
                shutil.rmtree(self.path)
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)
            else:
                return

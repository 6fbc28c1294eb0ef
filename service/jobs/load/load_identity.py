"""What makes a load the same load, and an event of it the same event.

A row has no id of its own, so its number is its id within a source. The source stands for all that makes the row an
event: the file's content and how its columns were mapped. Change either and the rows are other events; change neither
and a second load brings duplicates, which the consumers drop.
"""

from pathlib import Path
from urllib.parse import quote

import msgspec
from msgspec import Struct
from xxhash import xxh3_64_hexdigest, xxh3_128

from service.jobs.load.column_mapping import Mapping
from service.runtime.errors import HealthError

_BLOCK = 1 << 20


class Identity(Struct, frozen=True, omit_defaults=True):
    """A file's name and content, and how it is read."""

    name: str
    content: str
    mapping: Mapping | None
    timezone: str | None = None
    """Of the times in a file of events that don't say theirs."""

    @property
    def source(self) -> str:
        """The CloudEvents `source` of the file's rows, where they have none of their own."""
        facts = msgspec.json.encode([self.content, self.mapping], order="deterministic")
        return f"load:{quote(self.name)}:{xxh3_64_hexdigest(facts)}"

    def key(self, *where: object) -> str:
        """A name for loading this file to somewhere in particular."""
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

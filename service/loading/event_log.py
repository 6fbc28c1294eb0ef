"""Opening an event log, whatever its form."""

from collections.abc import Sequence
from pathlib import Path

from service.errors import HealthError
from service.loading.drafts import EventLog
from service.loading.mapping import Mapping, parse_mapping
from service.loading.ndjson import NdjsonLog
from service.loading.parquet import ParquetLog
from service.settings import Settings, Signal

LINES = (".ndjson", ".jsonl", ".ndjson.gz", ".jsonl.gz")
TABLE = ".parquet"


def is_table(file: Path) -> bool:
    """Whether the file holds rows that a mapping makes events, and not events."""
    return file.name.endswith(TABLE)


def signal_of_topic(topic: str | None, settings: Settings) -> Signal | None:
    """The signal whose events the topic carries; None for None. Raises `HealthError` if nobody reads that topic."""
    if topic is None:
        return None
    for signal, name in settings.topics.items():
        if name == topic:
            return signal
    raise HealthError(
        f"--topic {topic} is none of this service's", f"Give one of {', '.join(settings.topics.values())}"
    )


def mapping_of(
    files: Sequence[Path], signal: Signal | None, columns: Sequence[str], constants: Sequence[str]
) -> Mapping | None:
    """The mapping for the Parquet files among `files`; None where all hold events already. Raises `HealthError`."""
    for file in files:
        if not file.name.endswith((*LINES, TABLE)):
            raise HealthError(
                f"{file} has a name that says nothing of its form", f"End it in {', '.join(LINES)} or {TABLE}"
            )
    table = next((file for file in files if is_table(file)), None)
    if table is None:
        if columns or constants:
            raise HealthError(f"--column and --constant are for Parquet, and {files[0]} holds events already")
        return None
    if signal is None:
        raise HealthError(f"{table} doesn't say which events it holds", "Add --topic, for example --topic usage-events")
    return parse_mapping(signal, columns, constants)


def open_log(file: Path, signal: Signal | None, mapping: Mapping | None) -> EventLog:
    """Open a file that `mapping_of` has passed. Raises `HealthError` if it can't be used."""
    if is_table(file):
        assert mapping is not None
        return ParquetLog(file, mapping)
    return NdjsonLog(file, signal)

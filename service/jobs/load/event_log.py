"""Opening an event log, whatever its form."""

from collections.abc import Sequence
from pathlib import Path

from service.jobs.load.column_mapping import Mapping, parse_mapping
from service.jobs.load.file_type import form_named
from service.jobs.load.ndjson import ARRAY, NdjsonLog
from service.jobs.load.row_validation import EventLog
from service.jobs.load.time_zones import zone_of
from service.runtime.errors import HealthError
from service.runtime.extras import require_files_extra
from service.runtime.settings import Settings, Signal

LINES = (".ndjson", ".jsonl", ARRAY)
TABLE = ".parquet"
_FORMS = ", ".join((*LINES, *(f"{ending}.gz" for ending in LINES)))


def is_table(file: Path) -> bool:
    """Whether the file holds rows that a mapping makes events, and not events."""
    return file.name.lower().endswith(TABLE)


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
    files: Sequence[Path],
    signal: Signal | None,
    columns: Sequence[str],
    constants: Sequence[str],
    timezone: str | None = None,
) -> Mapping | None:
    """The mapping for the Parquet files among `files`; None where all hold events already. Raises `HealthError`."""
    for file in files:
        _require_form(file)
    table = next((file for file in files if is_table(file)), None)
    if table is None:
        if columns or constants:
            raise HealthError(f"--column and --constant are for Parquet, and {files[0]} holds events already")
        return None
    if signal is None:
        raise HealthError(f"{table} doesn't say which events it holds", "Add --topic, for example --topic usage-events")
    return parse_mapping(signal, columns, constants, timezone)


def open_log(file: Path, signal: Signal | None, mapping: Mapping | None, timezone: str | None = None) -> EventLog:
    """Open a file that `mapping_of` has passed. Raises `HealthError` if it can't be used."""
    if is_table(file):
        assert mapping is not None
        require_files_extra(f"Reading {file}")
        from service.jobs.load.parquet import ParquetLog

        return ParquetLog(file, mapping)
    return NdjsonLog(file, signal, zone_of(timezone))


def _require_form(file: Path) -> None:
    name = file.name.lower()
    if name.endswith(TABLE) or name.removesuffix(".gz").endswith(LINES):
        return
    endings = f"End it in {_FORMS} or {TABLE}"
    if name.endswith(f"{TABLE}.gz"):
        raise HealthError(f"{file} is Parquet packed once more", f"Unpack it: gzip -d {file}")
    form = form_named(Path(name.removesuffix(".gz")).suffix)
    if form is None:
        raise HealthError(f"{file} has a name that says nothing of its form", endings)
    raise HealthError(f"{file} is {form.name} by its name, which isn't read", form.remedy)

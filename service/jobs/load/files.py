"""The files of one command: found in folders, opened, identified, checked, and shifted by a common number of days."""

import asyncio
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from msgspec import Struct

from service.jobs.load.checkpoint import Identity, identify
from service.jobs.load.column_mapping import Mapping, parse_mapping
from service.jobs.load.file_type import form_named
from service.jobs.load.first_pass import Findings, examine, require_valid
from service.jobs.load.ndjson import ARRAY, NdjsonLog
from service.jobs.load.row_validation import EventLog
from service.jobs.load.times import days_to_now, zone_of
from service.messaging.cloudevents import now_micros
from service.runtime.errors import HealthError, require_files_extra
from service.runtime.settings import Settings, Signal

LINES = (".ndjson", ".jsonl", ARRAY)
TABLE = ".parquet"
_FORMS = ", ".join((*LINES, *(f"{ending}.gz" for ending in LINES)))


def is_table(file: Path) -> bool:
    """True if the file holds rows that a mapping turns into events, not events themselves."""
    return file.name.lower().endswith(TABLE)


def signal_of_topic(topic: str | None, settings: Settings) -> Signal | None:
    """The signal whose events the topic carries; None for None. Raises `HealthError` if no signal uses that topic."""
    if topic is None:
        return None
    for signal, name in settings.topics.items():
        if name == topic:
            return signal
    raise HealthError(
        f"--topic {topic} is not one of this service's", f"Give one of {', '.join(settings.topics.values())}"
    )


def mapping_of(
    files: Sequence[Path],
    signal: Signal | None,
    columns: Sequence[str],
    constants: Sequence[str],
    timezone: str | None = None,
) -> Mapping | None:
    """The mapping for the Parquet files among `files`; None if all hold events already. Raises `HealthError`."""
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
    """Open a file that `mapping_of` has accepted. Raises `HealthError` if it can't be used."""
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
        raise HealthError(f"{file} is Parquet compressed again", f"Unpack it: gzip -d {file}")
    form = form_named(Path(name.removesuffix(".gz")).suffix)
    if form is None:
        raise HealthError(f"{file} has no known file extension", endings)
    raise HealthError(f"{file} is {form.name} by its name, and can't be loaded", form.remedy)


_DELTA = "_delta_log"


def part_files(paths: Sequence[Path]) -> list[Path]:
    """Every file, a folder's sorted by name; files whose names begin with a dot or _ are skipped.

    Spark, Hive and Hadoop keep such files beside the parts (`_SUCCESS`, `.part-0.crc`). Raises `HealthError` if a
    folder holds no others, or something can't be read twice from its beginning, as loading does.
    """
    files: list[Path] = []
    for path in paths:
        if not path.is_dir():
            files.append(path)
        elif found := sorted(_parts(path)):
            files += found
        else:
            raise HealthError(f"{shown(path)} holds no files", "Give a folder of .parquet or .ndjson files")
    for file in files:
        _require_readable(file)
    return files


def shown(path: Path) -> str:
    """A path that can be printed: bytes that aren't UTF-8 become escapes."""
    return os.fsencode(path).decode(errors="backslashreplace")


def _parts(folder: Path) -> Iterator[Path]:
    for at, folders, names in os.walk(folder, onerror=_fail):
        if _DELTA in folders:
            raise HealthError(
                f"{shown(Path(at))} is a Delta table, whose folder also holds files that are no longer part of it",
                "Export it as plain Parquet",
            )
        folders[:] = [name for name in folders if _counts(name)]
        yield from (Path(at, name) for name in names if _counts(name))


def _counts(name: str) -> bool:
    return not name.startswith((".", "_"))


def _fail(error: OSError) -> None:
    raise HealthError(f"{error.filename} can't be read: {error.strerror}") from None


def _require_readable(file: Path) -> None:
    try:
        os.fsencode(file).decode()
    except UnicodeDecodeError:
        raise HealthError(f"The name of {shown(file)} isn't UTF-8", "Rename it") from None
    if not file.is_file():
        raise HealthError(f"{file} can't be read more than once", "Write its contents to a file first")


class LoadRequest(Struct, frozen=True):
    """The options of a load."""

    files: Sequence[Path]
    signal: Signal | None
    """The signal of all events; None if each event gives its own."""
    mapping: Mapping | None
    state_dir: Path
    timezone: str | None = None
    """The zone of times without one; None means UTC in a table, and an error in events."""
    shift_to_now: bool = False
    skip_invalid: bool = False
    again: bool = False


def log_request(
    settings: Settings,
    state_dir: Path,
    files: Sequence[Path],
    topic: str | None,
    columns: Sequence[str],
    constants: Sequence[str],
    timezone: str | None,
) -> LoadRequest:
    """The log that options name. Raises `HealthError` if they contradict each other or the files."""
    signal = signal_of_topic(topic, settings)
    zone_of(timezone)
    parts = part_files(files)
    mapping = mapping_of(parts, signal, columns, constants, timezone)
    return LoadRequest(files=parts, signal=signal, mapping=mapping, state_dir=state_dir, timezone=timezone)


class LogFile(Struct, frozen=True):
    """A file to be loaded."""

    log: EventLog
    identity: Identity


class Examined(Struct, frozen=True):
    """A file with all rows checked."""

    file: LogFile
    findings: Findings


def open_files(order: LoadRequest) -> list[LogFile]:
    """Open and fingerprint every file. Raises `HealthError` if one can't be used, or is given twice."""
    files: list[LogFile] = []
    for path in order.files:
        log = open_log(path, order.signal, order.mapping, order.timezone)
        identity = _identify(path, order)
        for other in files:
            if other.identity == identity:
                raise HealthError(f"{path} is the same as {other.log.path}", "Give it once")
        files.append(LogFile(log, identity))
    return files


def naive_columns(files: Sequence[LogFile]) -> set[str]:
    """The columns whose times are taken for UTC, as they have no time zone."""
    return {column for file in files for column in file.log.naive}


def _identify(path: Path, order: LoadRequest) -> Identity:
    return identify(path, order.mapping) if is_table(path) else identify(path, None, order.timezone)


async def examine_files(
    files: Sequence[LogFile], order: LoadRequest, max_bytes: int, stop: asyncio.Event
) -> list[Examined]:
    """Check every row. Raises `StoppedError`, and `HealthError` if there are invalid rows and they aren't to be
    skipped.
    """
    examined = []
    for file in files:
        findings = await examine(file.log, file.identity.source, max_bytes, will_move=order.shift_to_now, stop=stop)
        if not order.skip_invalid:
            require_valid(file.log, findings)
        examined.append(Examined(file, findings))
    return examined


def shift_for(examined: Sequence[Examined], order: LoadRequest) -> int:
    """The number of days by which all files' times move together, so that the newest event falls on today."""
    if not order.shift_to_now or not examined:
        return 0
    return days_to_now(max(each.findings.newest for each in examined), now_micros())

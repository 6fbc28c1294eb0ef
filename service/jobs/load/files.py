"""The files of one command: opened, identified, checked, and agreed on by how many days their times move."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from service.jobs.load.column_mapping import Mapping
from service.jobs.load.date_shift import days_to_now
from service.jobs.load.event_log import is_table, open_log
from service.jobs.load.first_pass import examine, require_valid
from service.jobs.load.first_pass_report import Findings
from service.jobs.load.load_identity import Identity, identify
from service.jobs.load.row_validation import EventLog
from service.messaging.cloudevents import now_micros
from service.runtime.errors import HealthError
from service.runtime.settings import Signal


class LoadRequest(Struct, frozen=True):
    """What the user asked for."""

    files: Sequence[Path]
    signal: Signal | None
    """Of all events; None where each event says so itself."""
    mapping: Mapping | None
    state_dir: Path
    timezone: str | None = None
    """Of times that don't say theirs; None: UTC in a table, and refused in events."""
    shift_to_now: bool = False
    skip_invalid: bool = False
    again: bool = False


class LogFile(Struct, frozen=True):
    """A file that is to be loaded."""

    log: EventLog
    identity: Identity


class Examined(Struct, frozen=True):
    """A file whose every row has been checked."""

    file: LogFile
    findings: Findings


def open_files(order: LoadRequest) -> list[LogFile]:
    """Open and fingerprint every file. Raises `HealthError` if one can't be used, or comes twice."""
    files: list[LogFile] = []
    for path in order.files:
        log = open_log(path, order.signal, order.mapping, order.timezone)
        identity = _identify(path, order)
        for other in files:
            if other.identity == identity:
                raise HealthError(f"{path} is the same as {other.log.path}", "Give it once")
        files.append(LogFile(log, identity))
    return files


def _identify(path: Path, order: LoadRequest) -> Identity:
    return identify(path, order.mapping) if is_table(path) else identify(path, None, order.timezone)


async def examine_files(
    files: Sequence[LogFile], order: LoadRequest, max_bytes: int, stop: asyncio.Event
) -> list[Examined]:
    """Check every row. Raises `StoppedError`, and `HealthError` if there are invalid rows that aren't to be skipped."""
    examined = []
    for file in files:
        findings = await examine(file.log, file.identity.source, max_bytes, will_move=order.shift_to_now, stop=stop)
        if not order.skip_invalid:
            require_valid(file.log, findings)
        examined.append(Examined(file, findings))
    return examined


def shift_for(examined: Sequence[Examined], order: LoadRequest) -> int:
    """By how many days the times of all files move together, so that the newest event of all falls on today."""
    if not order.shift_to_now or not examined:
        return 0
    return days_to_now(max(each.findings.newest for each in examined), now_micros())

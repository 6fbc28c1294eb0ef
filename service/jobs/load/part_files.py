"""The files of a command: those that were named, and the part files of the folders that were named."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from service.runtime.errors import HealthError

_DELTA = "_delta_log"


def part_files(paths: Sequence[Path]) -> list[Path]:
    """Every file, a folder's in the order of their names; those that begin with a dot or _ are no part of it.

    Spark, Hive and Hadoop keep such files beside the parts (`_SUCCESS`, `.part-0.crc`). Raises `HealthError` if a
    folder holds none, or something can't be read twice from its beginning, as loading does.
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
    """A path as it can be printed: bytes that are no UTF-8 become escapes."""
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
        raise HealthError(f"The name of {shown(file)} is no UTF-8", "Rename it") from None
    if not file.is_file():
        raise HealthError(f"{file} is no file that can be read more than once", "Write what it holds to a file first")

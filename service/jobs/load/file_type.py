"""The real format of a file, by its first bytes, where its name is wrong."""

from msgspec import Struct

HEAD_BYTES = 4096
"""The number of bytes read from the start of a file."""

_BOMS = {
    b"\xff\xfe\x00\x00": "UTF-32",  # before UTF-16, as it begins with the same mark
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
_MAGIC = {
    b"PAR1": "Parquet",
    b"PARE": "encrypted Parquet",
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x04\x22\x4d\x18": "lz4",
    b"\xff\x06\x00\x00sNaPpY": "snappy",
    b"PK\x03\x04": "a ZIP archive, as Excel's .xlsx is",
    b"\xd0\xcf\x11\xe0": "a workbook of an old Excel (.xls)",
    b"Obj\x01": "Avro",
    b"ORC": "ORC",
    b"SQLite format 3\x00": "a SQLite database",
    b"ARROW1": "an Arrow (Feather) file",
    b"%PDF": "a PDF",
}
_TO_PARQUET = (
    'Export it as Parquet or CSV; a CSV becomes Parquet with: python -c "import pyarrow.csv as c, pyarrow.parquet as p;'
    " p.write_table(c.read_csv('FILE.csv'), 'FILE.parquet')\""
)
_REMEDIES = {
    "Parquet": "End its name in .parquet",
    "encrypted Parquet": "Write it again without encryption",
    "gzip": "If it holds one event a line, end its name in .ndjson.gz; otherwise unpack it: gzip -d FILE",
    "zstd": "Unpack it: zstd -d FILE",
    "bzip2": "Unpack it: bunzip2 FILE",
    "xz": "Unpack it: unxz FILE",
    "lz4": "Unpack it: lz4 -d FILE",
    "snappy": "Unpack it first",
    "UTF-16": "Write it as UTF-8: iconv -f UTF-16 -t UTF-8 FILE > NEW",
    "UTF-32": "Write it as UTF-8: iconv -f UTF-32 -t UTF-8 FILE > NEW",
}
_SEPARATORS = ",;\t|"
_XML = (b"<?xml", b"<html", b"<!doctype")


class FileFormat(Struct, frozen=True):
    """A file's format, and a remedy if it can't be read."""

    name: str
    remedy: str


def form_of(head: bytes) -> FileFormat | None:
    """The format that a file's first bytes prove; None for text that may be JSON, and for unknown contents."""
    name = _by_magic(head) or _by_encoding(head) or _by_text(head)
    return None if name is None else FileFormat(name, _REMEDIES.get(name, _TO_PARQUET))


def form_named(suffix: str) -> FileFormat | None:
    """The format that a file's name claims, for known formats that can't be read; None for others."""
    name = _SUFFIXES.get(suffix)
    return None if name is None else FileFormat(name, _REMEDIES.get(name, _TO_PARQUET))


def _by_magic(head: bytes) -> str | None:
    return next((name for magic, name in _MAGIC.items() if head.startswith(magic)), None)


def _by_encoding(head: bytes) -> str | None:
    """The format by the byte-order mark, or by the NULs between ASCII characters in wide encodings."""
    marked = next((name for mark, name in _BOMS.items() if head.startswith(mark)), None)
    if marked is not None or len(head) < 4:
        return marked
    empty = tuple(byte == 0 for byte in head[:4])
    if empty in ((True, True, True, False), (False, True, True, True)):
        return "UTF-32"
    return "UTF-16" if empty in ((True, False, True, False), (False, True, False, True)) else None


def _by_text(head: bytes) -> str | None:
    if head.lstrip().lower().startswith(_XML):
        return "XML or HTML"
    lines = head.removeprefix(b"\xef\xbb\xbf").decode(errors="replace").splitlines()[:2]
    if len(lines) < 2 or any(line.lstrip().startswith(("{", "[")) for line in lines):
        return None
    return "CSV" if any(0 < lines[0].count(each) == lines[1].count(each) for each in _SEPARATORS) else None


_SUFFIXES = {
    ".csv": "CSV",
    ".tsv": "CSV",
    ".xlsx": "a ZIP archive, as Excel's .xlsx is",
    ".xls": "a workbook of an old Excel (.xls)",
    ".avro": "Avro",
    ".orc": "ORC",
    ".zip": "a ZIP archive, as Excel's .xlsx is",
    ".zst": "zstd",
    ".bz2": "bzip2",
    ".xz": "xz",
    ".lz4": "lz4",
    ".feather": "an Arrow (Feather) file",
    ".arrow": "an Arrow (Feather) file",
    ".xml": "XML or HTML",
}

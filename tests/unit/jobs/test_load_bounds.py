"""Files that unpack to more than memory holds are refused by name, before they are unpacked."""

import gzip
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.jobs.load import parquet, text_rows
from service.jobs.load.column_mapping import parse_mapping
from service.jobs.load.ndjson import NdjsonLog
from service.jobs.load.parquet import ParquetLog
from service.runtime.errors import HealthError

COLUMNS = ["subject=account", "time=at", "feature=what"]


def test_a_column_that_unpacks_to_too_much_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "MOST_COLUMN_BYTES", 1 << 20)
    path = tmp_path / "usage.parquet"
    names = ["a" * 400_000, "b" * 400_000, "c" * 400_000]
    table = pa.table({"account": names, "at": ["2030-01-31T00:00:00Z"] * 3, "what": ["login"] * 3, "more": names})
    mapping = parse_mapping("usage", COLUMNS, [], None)
    pq.write_table(table, path, compression="zstd")
    assert path.stat().st_size < 100_000
    with pytest.raises(
        HealthError, match=r"usage\.parquet .* column account unpacks to 1,.* bytes in row group 1.*row_group"
    ):
        ParquetLog(path, mapping)
    pq.write_table(table, path, compression="zstd", row_group_size=1)
    assert ParquetLog(path, mapping).rows == 3
    pq.write_table(table.set_column(0, "account", pa.array(["a", "b", "c"])), path, compression="zstd")
    assert ParquetLog(path, mapping).rows == 3, "a column that isn't read isn't unpacked"


def test_a_packed_line_of_any_length_is_kept_in_part_only(tmp_path: Path) -> None:
    path = tmp_path / "bomb.ndjson.gz"
    with gzip.open(path, "wb", 1) as file:
        for _ in range(80):
            file.write(b"x" * (1 << 20))
        file.write(b"\n{}\n")
    with gzip.open(path) as packed:
        found = [len(line) for line in text_rows.lines(cast(BinaryIO, packed))]
    assert found == [text_rows.MOST_ROW_BYTES + 1, 3]
    (chunk,) = NdjsonLog(path).drafts(1, "/load", 0)
    assert [(each.row, "more than 33,554,432 bytes" in each.reason) for each in chunk.refused] == [
        (1, True),
        (2, False),
    ]

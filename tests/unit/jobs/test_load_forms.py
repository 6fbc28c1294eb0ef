"""Files and folders as people have them: recognised by name, and loaded where possible."""

import gzip
import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.jobs.load import text_rows
from service.jobs.load.column_mapping import Mapping, parse_mapping
from service.jobs.load.files import open_log, part_files
from service.jobs.load.ndjson import NdjsonLog
from service.jobs.load.parquet import ParquetLog
from service.jobs.load.row_validation import RowsVerdict, check
from service.jobs.load.times import zone_of
from service.messaging.cloudevents import now_micros
from service.runtime.errors import HealthError
from tests.support.cloud_events import usage

TEXT = "\n".join(json.dumps(usage(name)) for name in "ab")
MAPPING = parse_mapping("usage", ["subject=account", "time=at", "feature=what"], [])
CSV = b"account,at,what\na,2020-01-01,login\n"


def judged(log: NdjsonLog | ParquetLog) -> RowsVerdict:
    (chunk,) = log.drafts(1, "load:test", 0)
    return check(chunk, 10_000, now_micros())


def accounts(log: NdjsonLog) -> list[tuple[int, str]]:
    return [(draft.row, draft.account_id) for chunk in log.drafts(1, "", 0) for draft in chunk.drafts]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (TEXT.encode("utf-16"), "holds UTF-16, .* iconv -f UTF-16 -t UTF-8"),
        (TEXT.encode("utf-16-le"), "holds UTF-16"),
        (TEXT.encode("utf-16-be"), "holds UTF-16"),
        (TEXT.encode("utf-32"), "holds UTF-32, .* iconv -f UTF-32 -t UTF-8"),
        (TEXT.encode("utf-32-le"), "holds UTF-32"),
        (TEXT.encode("utf-32-be"), "holds UTF-32"),
        (gzip.compress(TEXT.encode()), r"holds gzip, .* end its name in \.ndjson\.gz"),
        (b"\x28\xb5\x2f\xfd\x00", "holds zstd, .* zstd -d"),
        (b"PK\x03\x04rest", r"holds a ZIP archive, as Excel's \.xlsx is, .* becomes Parquet"),
        (b"PAR1\x00\x00", r"holds Parquet, .*End its name in \.parquet"),
        (CSV, "holds CSV, .* becomes Parquet with: python -c"),
        (b"\xef\xbb\xbf" + CSV.replace(b",", b";"), "holds CSV"),
        (b"<?xml version='1.0'?>", "holds XML or HTML"),
        (json.dumps(usage("a"), indent=2).encode(), "holds events that span several lines. Write one per line: jq -c"),
    ],
)
def test_what_is_not_one_event_a_line_is_named_with_what_to_do(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.ndjson").write_bytes(content)
    with pytest.raises(HealthError, match=message):
        NdjsonLog(tmp_path / "a.ndjson")
    (tmp_path / "a.ndjson.gz").write_bytes(gzip.compress(content))
    with pytest.raises(HealthError, match=message):
        NdjsonLog(tmp_path / "a.ndjson.gz")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (CSV, "it holds CSV. .*becomes Parquet"),
        (CSV.decode().encode("utf-16"), "it holds UTF-16"),
        (b"PARE....", "it holds encrypted Parquet. Write it again without"),
        (b"ARROW1\x00\x00", "it holds an Arrow"),
    ],
)
def test_what_is_no_parquet_is_named_with_what_to_do(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(HealthError, match=message):
        ParquetLog(tmp_path / "a.parquet", MAPPING)


def test_bytes_that_are_no_utf_8_refuse_their_row_alone(tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").write_bytes(f"{json.dumps(usage('a'))}\n".encode() + '{"typé": ""}'.encode("latin-1"))
    verdict = judged(NdjsonLog(tmp_path / "a.ndjson"))
    assert [draft.row for draft in verdict.passed] == [1]
    (refused,) = verdict.refused
    assert refused.row == 2
    assert "byte 0xe9 isn't UTF-8; write the file as UTF-8" in refused.reason


@pytest.mark.parametrize("name", ["a.json", "A.JSON.GZ"])
@pytest.mark.parametrize("indent", [None, 2])
def test_a_json_file_holds_an_array_or_one_event_a_line(tmp_path: Path, name: str, indent: int | None) -> None:
    events = [usage("a"), usage("b")]
    text = "\ufeff \n" + json.dumps(events, indent=indent)
    for written in (text, TEXT):
        packed = gzip.compress(written.encode()) if name.endswith("GZ") else written.encode()
        (tmp_path / name).write_bytes(packed)
        assert accounts(NdjsonLog(tmp_path / name)) == [(1, "a"), (2, "b")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"a": 1}, {"b"', "the array ends within row 2. Check that it is complete"),
        ("[{}, [", "the array ends within row 2"),
        ('["a', "the array ends within row 1"),
        ("[{}] {}", "after row 1 the array ends, and something follows"),
    ],
)
def test_an_array_that_is_cut_off_or_followed_by_more_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(HealthError, match=message):
        list(NdjsonLog(tmp_path / "a.json").drafts(1, "", 0))


def test_memory_is_bounded_whatever_the_length_of_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_rows, "MOST_ROW_BYTES", 1000)
    monkeypatch.setattr("service.jobs.load.ndjson.MOST_ROW_BYTES", 1000)
    monkeypatch.setattr("service.jobs.load.ndjson._CHUNK_BYTES", 900)
    (tmp_path / "a.ndjson").write_text(f"{TEXT}\n{'x' * 5000}\n{TEXT}\n{TEXT}\n{'x' * 9000}")
    log = NdjsonLog(tmp_path / "a.ndjson")
    assert [row for row, _ in accounts(log)] == [1, 2, 4, 5, 6, 7]
    refused = [each for chunk in log.drafts(1, "", 0) for each in chunk.refused]
    assert [each.row for each in refused] == [3, 8]
    assert refused[0].reason == "event: more than 1,000 bytes; no record may be that long"
    monkeypatch.setattr(text_rows, "_BLOCK", 100)
    (tmp_path / "a.json").write_text(f'[{json.dumps(usage("a"))}, {{"x": "{"y" * 3000}"}}]')
    with pytest.raises(HealthError, match="row 2 is longer than 1,000 bytes, or its brackets don't match"):
        list(NdjsonLog(tmp_path / "a.json").drafts(1, "", 0))


def test_a_value_that_no_form_has_refuses_its_row_by_column_and_not_the_file(tmp_path: Path) -> None:
    columns = {
        "account": pa.array([b"a", b"\xff", b"c", b"d"]),
        "at": pa.array([1_579_110_899, 1_579_110_899, 10**15, 1_579_110_899], pa.timestamp("s", "UTC")),
        "what": ["login", "login", "login", None],
    }
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    verdict = judged(ParquetLog(tmp_path / "a.parquet", MAPPING))
    assert [draft.account_id for draft in verdict.passed] == ["a"]
    second, third, fourth = verdict.refused
    assert (second.row, second.reason) == (2, "subject: is no text in UTF-8 (column account)")
    assert third.row == 3
    assert third.reason.startswith("time: can't be used: ")
    assert third.reason.endswith("(column at)")
    assert (fourth.row, fourth.reason) == (4, "data.feature: Object missing required field `feature` (column what)")


def test_what_a_file_says_can_be_shown_on_a_terminal(tmp_path: Path) -> None:
    hostile = usage("a", type="\x1b[2J" + "x" * 9000)
    field = usage("a") | {"data": {"feature": "x", "\x1b]0;title\x07": 1}}
    (tmp_path / "a.ndjson").write_text("\n".join(map(json.dumps, (hostile, field))))
    for each in judged(NdjsonLog(tmp_path / "a.ndjson")).refused:
        assert each.reason.isprintable()
        assert len(each.reason) < 500


NAIVE = datetime(2020, 7, 1, 12)  # noqa: DTZ001 - local times are what this is about


def timed(path: Path, mapping: Mapping) -> tuple[list[str], str]:
    columns = {"account": ["a"], "at": [NAIVE], "what": ["login"]}
    pq.write_table(pa.table(columns), path)
    log = ParquetLog(path, mapping)
    (draft,) = judged(log).passed
    return log.naive, json.loads(draft.value)["time"]


def test_times_without_a_zone_are_of_the_one_that_is_given_or_named_as_taken_for_utc(tmp_path: Path) -> None:
    assert timed(tmp_path / "a.parquet", MAPPING) == (["at"], "2020-07-01T12:00:00.000000Z")
    columns = [f"{ours}={theirs}" for ours, theirs in MAPPING.columns.items()]
    local = parse_mapping("usage", columns, [], "Europe/Berlin")
    assert timed(tmp_path / "a.parquet", local) == ([], "2020-07-01T10:00:00.000000Z")


def test_events_without_an_offset_want_a_time_zone(tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").write_text(json.dumps(usage("a", time="2020-07-01T12:00:00")))
    (refused,) = judged(NdjsonLog(tmp_path / "a.ndjson")).refused
    assert refused.reason.endswith("; for local times add --timezone ZONE")
    (draft,) = judged(NdjsonLog(tmp_path / "a.ndjson", zone=zone_of("Europe/Berlin"))).passed
    assert datetime.fromisoformat(json.loads(draft.value)["time"]) == datetime(2020, 7, 1, 10, tzinfo=UTC)
    assert json.loads(draft.value)["source"] == "/tests", "they are the log's own events"


def test_a_folder_is_its_part_files_in_order(tmp_path: Path) -> None:
    for name in ("b.ndjson", "a.ndjson", "day=2/c.ndjson", "day=1/c.ndjson", "_SUCCESS", ".a.ndjson.crc", "_tmp/d.x"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(TEXT)
    single = tmp_path / "b.ndjson"
    found = part_files([tmp_path, single])
    assert [str(file.relative_to(tmp_path)) for file in found] == [
        "a.ndjson",
        "b.ndjson",
        "day=1/c.ndjson",
        "day=2/c.ndjson",
        "b.ndjson",
    ]


def test_a_folder_of_thousands_does_not_keep_files_open(tmp_path: Path) -> None:
    pq.write_table(pa.table({"account": ["a"], "at": [NAIVE], "what": ["login"]}), tmp_path / "a.parquet")
    logs = [open_log(tmp_path / "a.parquet", "usage", MAPPING) for _ in range(50)]
    assert len(logs) == 50
    opened = [path for path in Path("/proc/self/fd").iterdir() if path.resolve() == tmp_path / "a.parquet"]
    assert opened == []


def test_folders_that_cannot_be_loaded_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "_SUCCESS").touch()
    with pytest.raises(HealthError, match="empty holds no files"):
        part_files([tmp_path / "empty"])
    (tmp_path / "delta" / "_delta_log").mkdir(parents=True)
    with pytest.raises(HealthError, match="is a Delta table"):
        part_files([tmp_path / "delta"])
    os.mkfifo(tmp_path / "pipe.ndjson")
    with pytest.raises(HealthError, match="can't be read more than once"):
        part_files([tmp_path / "pipe.ndjson"])
    odd = tmp_path / os.fsdecode(b"\xff.ndjson")
    odd.touch()
    with pytest.raises(HealthError, match=r"The name of .*\\xff\.ndjson isn't UTF-8"):
        part_files([odd])

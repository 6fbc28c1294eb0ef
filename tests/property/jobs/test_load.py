"""Whatever bytes a file holds: every row becomes an event or is refused by its number, or the file is by its name."""

import gzip
import io
import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.jobs.load.arrow_columns import plain_values, unusable_reason
from service.jobs.load.column_mapping import parse_mapping
from service.jobs.load.event_fields import fields_of
from service.jobs.load.files import mapping_of, open_log
from service.jobs.load.row_validation import check
from service.jobs.load.text_rows import elements
from service.jobs.load.times import in_utc, zone_of
from service.messaging.cloudevents import now_micros
from service.runtime.errors import HealthError
from service.runtime.settings import Signal
from tests.support.cloud_events import cloud_event, usage

SIGNALS: tuple[Signal, ...] = ("usage", "ticket", "survey", "account")
NAMES = ("a.ndjson", "a.jsonl", "a.json", "a.ndjson.gz", "a.json.gz", "a.parquet")
ZONES = (None, "Europe/Berlin", "America/St_Johns")
COLUMNS = ["subject=account", "time=at", "feature=what"]
whole_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def read(file: Path, timezone: str | None = None, shift_days: int = 0, columns: list[str] = COLUMNS) -> tuple[int, int]:
    """The counts of rows that passed and were refused; each has a number of its own and a reason that can be shown."""
    table = file.suffix == ".parquet"
    mapping = mapping_of([file], "usage" if table else None, columns if table else [], [], timezone)
    log = open_log(file, None if mapping is None else "usage", mapping, timezone)
    passed, refused = 0, 0
    row = 1
    for drafts in log.drafts(1, "load:test", shift_days):
        verdict = check(drafts, 10_000, now_micros())
        rows = sorted([draft.row for draft in verdict.passed] + [each.row for each in verdict.refused])
        assert len(set(rows)) == len(rows)
        assert all(row <= number < drafts.next_row for number in rows)
        assert all(each.reason.isprintable() and len(each.reason) < 1000 for each in verdict.refused)
        for draft in verdict.passed:
            assert isinstance(draft.account_id, str)
            assert json.loads(draft.value)["backfill"] is True
        passed, refused, row = passed + len(verdict.passed), refused + len(verdict.refused), drafts.next_row
    return passed, refused


def read_or_be_told(file: Path, *how: Any) -> None:
    """Read the file, unless an error says that it can't be."""
    told = ""
    try:
        read(file, *how)
    except HealthError as error:
        told = str(error)
    assert told == "" or (str(file) in told and told.isprintable())


def parquet(**columns: Any) -> bytes:
    written = io.BytesIO()
    rows = 20
    values = {"account": [str(row) for row in range(rows)], "at": [datetime(2020, 1, 31)] * rows, "what": ["é"] * rows}  # noqa: DTZ001
    pq.write_table(pa.table(values | columns), written, row_group_size=7)
    return written.getvalue()


EVENTS = [
    usage("a"),
    cloud_event(
        "ticket", "b", {"ticket_id": "t", "status": "open", "priority": "low", "created_at": "2020-01-01T00:00:00"}
    ),
    cloud_event("account", "c", {"renews_on": "2020-12-31", "name": "Ünï"}),
]
LINES = "\n".join(map(json.dumps, EVENTS)).encode()
WHOLE = {
    "a.ndjson": LINES,
    "a.jsonl": LINES,
    "a.json": json.dumps(EVENTS, indent=1).encode(),
    "a.ndjson.gz": gzip.compress(LINES),
    "a.json.gz": gzip.compress(json.dumps(EVENTS).encode()),
    "a.parquet": parquet(),
}


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, bytes]:
    """A file with some bytes replaced, left out or put in, or cut off."""
    name = draw(st.sampled_from(NAMES))
    content = bytearray(WHOLE[name])
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(len(content) - 1, 0)))
        kept = draw(st.integers(0, 4))
        content[at : at + kept] = draw(st.binary(max_size=4))
    if draw(st.integers(0, 4)) == 0:
        del content[draw(st.integers(0, len(content))) :]
    return name, bytes(content)


how = st.tuples(st.sampled_from(ZONES), st.sampled_from([0, 1, -10_000_000, 10_000_000]))


@given(damaged(), how)
@whole_folder
def test_a_damaged_file_is_read_or_named(tmp_path: Path, file: tuple[str, bytes], how: tuple[str | None, int]) -> None:
    (tmp_path / file[0]).write_bytes(file[1])
    read_or_be_told(tmp_path / file[0], *how)


@given(st.sampled_from(NAMES), st.binary(max_size=200), how)
@whole_folder
def test_any_bytes_are_read_or_named(tmp_path: Path, name: str, content: bytes, how: tuple[str | None, int]) -> None:
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    read_or_be_told(tmp_path / name, *how)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.datetimes().map(str),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.data(), how)
@whole_folder
def test_any_json_in_any_attribute_is_one_row(tmp_path: Path, data: st.DataObject, how: tuple[str | None, int]) -> None:
    events = []
    for event in EVENTS:
        changed: dict[str, Any] = event | {"data": dict(event["data"])}
        for holder in (changed, changed["data"]):
            if data.draw(st.booleans()):
                holder[data.draw(st.sampled_from(sorted(holder)))] = data.draw(json_values)
        events.append(changed)
    for name, text in {
        "a.ndjson": "\n".join(map(json.dumps, events)),
        "a.json": json.dumps(events, indent=data.draw(st.sampled_from([None, 1]))),
    }.items():
        (tmp_path / name).write_text(text)
        passed, refused = read(tmp_path / name, *how)
        assert passed + refused == len(EVENTS)


@given(st.lists(json_values, max_size=6), st.sampled_from([None, 0, 2]), st.integers(1, 40))
def test_the_elements_of_an_array_are_what_json_says_wherever_blocks_end(
    values: list[Any], indent: int | None, block: int
) -> None:
    text = json.dumps(values, indent=indent).encode() + b" \n"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("service.jobs.load.text_rows._BLOCK", block)
        found = [each for each in elements(io.BytesIO(text)) if each.strip()]
    assert [json.dumps(json.loads(each)) for each in found] == [json.dumps(value) for value in values]


def column(type_: pa.DataType, values: st.SearchStrategy[Any]) -> Callable[[st.DrawFn, int], pa.Array]:
    """Columns of one type, some values of which may be null."""

    def draw_column(draw: st.DrawFn, rows: int) -> pa.Array:
        return pa.array(draw(st.lists(st.none() | values, min_size=rows, max_size=rows)), type_)

    return draw_column


INT64 = st.integers(-(2**63), 2**63 - 1)
TYPES = [
    column(pa.string(), st.text(max_size=30)),
    column(pa.string(), st.sampled_from(["open", "low", "2020-01-01", "2020-01-01T00:00:00", "9" * 5000, "-1e400"])),
    column(pa.binary(), st.binary(max_size=20)),
    column(pa.binary_view(), st.binary(max_size=20)),
    column(pa.binary(16), st.binary(min_size=16, max_size=16)),
    column(pa.binary(3), st.binary(min_size=3, max_size=3)),
    column(pa.uuid(), st.uuids().map(lambda value: value.bytes)),
    column(pa.int64(), INT64),
    column(pa.uint64(), st.integers(0, 2**64 - 1)),
    column(pa.float64(), st.floats()),
    column(pa.float16(), st.floats(width=16)),
    column(pa.bool_(), st.booleans()),
    column(pa.decimal128(38, 2), st.decimals(-(10**35), 10**35, places=2)),
    column(pa.decimal256(76, 10), st.decimals(-(10**60), 10**60, places=10).map(lambda value: value.normalize())),
    column(pa.date32(), st.dates()),
    column(pa.timestamp("s"), INT64),
    column(pa.timestamp("ms"), INT64),
    column(pa.timestamp("us", "Europe/Berlin"), INT64),
    column(pa.timestamp("us", "UTC"), INT64),
    column(pa.timestamp("ns"), INT64),
    column(pa.time64("us"), st.integers(0, 1000)),
    column(pa.list_(pa.int8()), st.lists(st.integers(0, 9), max_size=2)),
    column(pa.null(), st.none()),
]


@st.composite
def tables(draw: st.DrawFn) -> tuple[Signal, pa.Table]:
    signal = draw(st.sampled_from(SIGNALS))
    rows = draw(st.integers(1, 4))
    columns = {}
    for name, field in fields_of(signal).items():
        if field.required or draw(st.booleans()):
            drawn = draw(st.sampled_from(TYPES))(draw, rows)
            columns[name] = drawn.dictionary_encode() if draw(st.booleans()) and _encodes(drawn.type) else drawn
    return signal, pa.table(columns)


def _encodes(type_: pa.DataType) -> bool:
    return bool(pa.types.is_string(type_) or pa.types.is_int64(type_) or pa.types.is_binary(type_))


@given(tables(), how)
@whole_folder
def test_columns_of_any_type_are_refused_as_such_or_give_one_event_or_refusal_a_row(
    tmp_path: Path, given_table: tuple[Signal, pa.Table], how: tuple[str | None, int]
) -> None:
    signal, table = given_table
    file = tmp_path / "a.parquet"
    try:
        pq.write_table(table, file)
    except pa.ArrowException:
        return  # Parquet doesn't have all that Arrow has
    timezone, shift_days = how
    mapping = parse_mapping(signal, [f"{name}={name}" for name in table.column_names], [], timezone)
    if any(unusable_reason(table.schema.field(name).type, fields_of(signal)[name].kind) for name in table.column_names):
        with pytest.raises(HealthError, match="can't fill"):
            open_log(file, signal, mapping)
        return
    log = open_log(file, signal, mapping)
    for drafts in log.drafts(1, "load:test", shift_days):
        verdict = check(drafts, 100_000, now_micros())
        rows = [draft.row for draft in verdict.passed] + [each.row for each in verdict.refused]
        assert sorted(rows) == list(range(1, table.num_rows + 1))
        for each in verdict.refused:
            field = each.reason.split(":")[0].removeprefix("data.")
            assert field not in table.column_names or f"(column {field})" in each.reason


@given(st.datetimes(datetime(1970, 1, 2), datetime(2037, 1, 1)), st.sampled_from(ZONES[1:]))  # noqa: DTZ001
def test_a_local_time_is_the_same_moment_in_lines_and_in_tables(moment: datetime, timezone: str) -> None:
    zone = zone_of(timezone)
    assert zone is not None
    (from_text,) = plain_values(pa.array([moment.isoformat()]), "moment", 0, zone)
    (from_stamp,) = plain_values(pa.array([moment], pa.timestamp("us")), "moment", 0, zone)
    assert datetime.fromisoformat(from_text) == datetime.fromisoformat(from_stamp) == in_utc(moment, zone)


def test_a_uuid_is_the_same_however_it_is_stored() -> None:
    value = UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")
    for column_ in (pa.array([value.bytes], pa.uuid()), pa.array([value.bytes], pa.binary(16))):
        assert plain_values(column_, "text", 0) == [str(value)]


@pytest.mark.parametrize("value", [float("inf"), -float("inf"), 1e300, Decimal("1e30")])
def test_a_number_that_json_has_no_form_for_is_refused_and_not_taken_for_missing(tmp_path: Path, value: Any) -> None:
    file = tmp_path / "a.parquet"
    table = {"account": ["a", "b"], "at": [datetime.now(UTC) - timedelta(days=1)] * 2, "what": ["x"] * 2}
    pq.write_table(pa.table(table | {"n": [value, None], "on": [date(2020, 1, 1)] * 2}), file)
    mapping = parse_mapping("usage", [*COLUMNS, "quantity=n"], [])
    (drafts,) = open_log(file, "usage", mapping).drafts(1, "load:test", 0)
    (refused,) = check(drafts, 10_000, now_micros()).refused
    assert refused.row == 1
    assert refused.reason.startswith("data.quantity: ")
    assert "(column n)" in refused.reason

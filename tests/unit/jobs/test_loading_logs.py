"""Reading logs: rows become drafts that the consumers' own decoder takes, or are refused by row and field."""

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scoring.state.calendar import to_micros
from scoring.state.events import AttributesEvent, TicketEvent, UsageEvent
from service.jobs.load import ndjson, parquet
from service.jobs.load.column_mapping import parse_mapping
from service.jobs.load.ndjson import NdjsonLog
from service.jobs.load.parquet import ParquetLog
from service.jobs.load.row_validation import EventDraft, EventLog, RowsVerdict, check
from service.messaging.cloudevents import decode_structured, now_micros
from service.runtime.errors import HealthError
from tests.support.cloud_events import cloud_event, usage

MAPPING = parse_mapping("usage", ["subject=account", "time=at", "feature=what", "user_id=who"], [])
AT = datetime(2020, 1, 15, 17, tzinfo=UTC)
ROWS = 25


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "CHUNK_ROWS", 4)
    monkeypatch.setattr(ndjson, "CHUNK_ROWS", 4)


def table(path: Path, **columns: Any) -> Path:
    """25 rows, unless `columns` say otherwise, in row groups of 10."""
    values: dict[str, Any] = {"account": list(range(ROWS)), "at": [AT] * ROWS, "what": ["login"] * ROWS}
    values["who"] = ["ann", None] * (ROWS // 2) + ["ann"]
    pq.write_table(pa.table(values | columns), path, row_group_size=10)
    return path


def lines(path: Path, *events: Any) -> Path:
    text = "\n".join(event if isinstance(event, str) else json.dumps(event) for event in events)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def drafts(log: EventLog, first_row: int = 1, shift_days: int = 0) -> list[EventDraft]:
    return [draft for some in log.drafts(first_row, "load:test", shift_days) for draft in some.drafts]


def judge(log: EventLog, max_bytes: int = 10_000) -> RowsVerdict:
    (some,) = log.drafts(1, "load:test", 0)
    return check(some, max_bytes, now_micros())


def test_a_row_of_a_table_is_an_event_that_consumers_take(tmp_path: Path) -> None:
    log = ParquetLog(table(tmp_path / "a.parquet"), MAPPING)
    assert log.rows == ROWS
    first, second = drafts(log)[:2]
    assert json.loads(first.value) == {
        "specversion": "1.0",
        "id": "1",
        "source": "load:test",
        "type": "usage.recorded",
        "subject": "0",
        "time": "2020-01-15T17:00:00.000000Z",
        "backfill": True,
        "data": {"feature": "login", "user_id": "ann"},
    }
    assert "user_id" not in json.loads(second.value)["data"], "a null is left out"
    decoded = decode_structured("usage", first.value, now_micros())
    assert decoded.backfill
    assert isinstance(decoded.event, UsageEvent)
    assert decoded.event.account_id == first.account_id == "0"
    assert decoded.event.at == to_micros(AT)


@pytest.mark.parametrize("first_row", [1, 2, 4, 5, 10, 11, 12, 21, ROWS, ROWS + 1])
def test_reading_goes_on_at_any_row_with_the_same_events(tmp_path: Path, first_row: int) -> None:
    log = ParquetLog(table(tmp_path / "a.parquet"), MAPPING)
    assert drafts(log, first_row) == drafts(log)[first_row - 1 :]
    events = NdjsonLog(lines(tmp_path / "a.ndjson", *[usage(str(number)) for number in range(ROWS)]))
    assert drafts(events, first_row) == drafts(events)[first_row - 1 :]


def test_chunks_say_where_the_next_one_begins(tmp_path: Path) -> None:
    log = ParquetLog(table(tmp_path / "a.parquet"), MAPPING)
    events = NdjsonLog(lines(tmp_path / "a.ndjson", *["", "no event"] * 5))
    for chunks in (list(log.drafts(3, "load:test", 0)), list(events.drafts(3, "", 0))):
        row = 3
        for chunk in chunks:
            rows = [draft.row for draft in chunk.drafts] + [refused.row for refused in chunk.refused]
            assert all(row <= number < chunk.next_row for number in rows)
            row = chunk.next_row
    assert chunks[-1].next_row == 11


def test_own_ids_and_sources_and_constants_win_over_defaults(tmp_path: Path) -> None:
    mapping = parse_mapping(
        "ticket",
        ["subject=account", "id=what", "source=what", "ticket_id=account", "created_at=at"],
        ["time=2020-02-01T00:00:00Z", "status=solved", "priority=low", "reopens=2", "solved_at=2020-01-31T00:00:00Z"],
    )
    log = ParquetLog(table(tmp_path / "a.parquet"), mapping)
    event = decode_structured("ticket", drafts(log, shift_days=1)[0].value, now_micros()).event
    assert isinstance(event, TicketEvent)
    assert (event.id, event.ticket_id, event.status, event.reopens) == ("login", "0", "solved", 2)
    assert json.loads(drafts(log)[0].value)["source"] == "login"
    assert json.loads(drafts(log, shift_days=1)[0].value)["source"] == "login;moved=+1d"
    assert event.at == to_micros(datetime(2020, 2, 2, tzinfo=UTC))
    assert event.created_at == to_micros(datetime(2020, 1, 16, 17, tzinfo=UTC))
    assert event.solved_at == to_micros(datetime(2020, 2, 1, tzinfo=UTC))


def test_an_event_may_need_nothing_but_its_envelope(tmp_path: Path) -> None:
    log = ParquetLog(table(tmp_path / "a.parquet"), parse_mapping("account", ["subject=account", "time=at"], []))
    event = decode_structured("account", drafts(log)[0].value, now_micros()).event
    assert isinstance(event, AttributesEvent)
    assert event.values == {}


@pytest.mark.parametrize(
    ("column", "values", "reason"),
    [
        ("account", [None], "subject: Expected `str`, got `null`"),
        ("at", [None], "time: Expected"),
        ("at", ["yesterday"], "time: "),
        ("at", [datetime(2090, 1, 1, tzinfo=UTC)], "time: lies more than 5 minutes in the future"),
        ("what", [None], "feature"),
        ("what", [""], "data.feature: "),
        ("who", [""], "data.user_id: "),
    ],
)
def test_a_row_that_cannot_be_an_event_is_refused_by_its_field(
    tmp_path: Path, column: str, values: list[Any], reason: str
) -> None:
    columns = {"account": ["a"], "at": [AT], "what": ["login"], "who": ["ann"]} | {column: values}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    verdict = judge(ParquetLog(tmp_path / "a.parquet", MAPPING))
    assert verdict.passed == []
    (refused,) = verdict.refused
    assert refused.row == 1
    assert reason in refused.reason


def test_an_event_too_large_for_consumers_is_refused(tmp_path: Path) -> None:
    log = NdjsonLog(lines(tmp_path / "a.ndjson", usage("a"), usage("a" * 255)))
    verdict = judge(log, max_bytes=300)
    assert [draft.row for draft in verdict.passed] == [1]
    assert verdict.refused[0].row == 2
    assert "at most 300 are taken" in verdict.refused[0].reason


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["feature=nope"], "--column feature=nope: .* has no column nope. It has account, at, what, who"),
        (["feature=at"], "--column feature=at: .* can't fill feature from it: it holds timestamp"),
        (["feature=what", "time=account"], "--column time=account: .*it holds int64"),
    ],
)
def test_a_mapping_that_does_not_fit_the_columns_is_refused(tmp_path: Path, columns: list[str], message: str) -> None:
    given = dict(column.split("=") for column in ["subject=account", "time=at", *columns])
    mapping = parse_mapping("usage", [f"{ours}={theirs}" for ours, theirs in given.items()], [])
    with pytest.raises(HealthError, match=message):
        ParquetLog(table(tmp_path / "a.parquet"), mapping)


def test_a_column_whose_name_comes_twice_is_refused(tmp_path: Path) -> None:
    columns = [pa.array(["a"]), pa.array(["b"]), pa.array([AT]), pa.array(["x"]), pa.array(["y"])]
    pq.write_table(pa.table(columns, names=["account", "account", "at", "what", "who"]), tmp_path / "a.parquet")
    with pytest.raises(HealthError, match="has 2 columns of that name"):
        ParquetLog(tmp_path / "a.parquet", MAPPING)


def test_a_table_that_is_cut_off_or_none_is_named(tmp_path: Path) -> None:
    whole = table(tmp_path / "a.parquet").read_bytes()
    for name, content in {
        "cut.parquet": whole[: len(whole) // 2],
        "none.parquet": b"text",
        "empty.parquet": b"",
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(HealthError, match=f"{name} can't be read as Parquet: "):
            ParquetLog(tmp_path / name, MAPPING)


def test_a_table_that_is_damaged_inside_is_named(tmp_path: Path) -> None:
    path = table(tmp_path / "a.parquet")
    damaged = pq.read_metadata(path).row_group(1).column(2)
    content = bytearray(path.read_bytes())
    start = damaged.dictionary_page_offset
    content[start : start + damaged.total_compressed_size] = bytes(damaged.total_compressed_size)
    path.write_bytes(content)
    log = ParquetLog(path, MAPPING)
    with pytest.raises(HealthError, match=r"a\.parquet can't be read as Parquet: "):
        drafts(log)


@pytest.mark.parametrize("name", ["a.ndjson", "a.jsonl.gz"])
def test_lines_are_sent_as_they_are_but_for_the_mark(tmp_path: Path, name: str) -> None:
    event = usage("acct-1", time="2020-02-28T13:00:00+01:00", extra=[1, 2.50], backfill=False)
    (draft,) = drafts(NdjsonLog(lines(tmp_path / name, event)))
    assert (draft.row, draft.signal, draft.account_id) == (1, "usage", "acct-1")
    assert json.loads(draft.value) == event | {"backfill": True}


def test_blank_lines_and_a_byte_order_mark_are_passed_over(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.ndjson", "\ufeff" + json.dumps(usage("a")), "", "  \r", usage("b"), "")
    chunks = list(NdjsonLog(path).drafts(1, "", 0))
    assert [(draft.row, draft.account_id) for chunk in chunks for draft in chunk.drafts] == [(1, "a"), (4, "b")]
    assert [chunk.refused for chunk in chunks if chunk.refused] == []


def test_the_topic_follows_from_the_type_or_all_are_of_one(tmp_path: Path) -> None:
    ticket = cloud_event(
        "ticket", "a", {"ticket_id": "t", "status": "open", "priority": "low", "created_at": AT.isoformat()}
    )
    path = lines(tmp_path / "a.ndjson", usage("a"), ticket)
    assert [draft.signal for draft in drafts(NdjsonLog(path))] == ["usage", "ticket"]
    verdict = judge(NdjsonLog(path, "usage"))
    assert [draft.row for draft in verdict.passed] == [1]
    assert "type: ticket.changed is not for this topic" in verdict.refused[0].reason


def test_every_time_of_an_event_moves(tmp_path: Path) -> None:
    ticket = cloud_event(
        "ticket",
        "a",
        {"ticket_id": "2020-01-01", "status": "solved", "priority": "low", "created_at": "2020-01-01T00:00:00Z"}
        | {"solved_at": "2020-02-28T23:00:00Z"},
        time="2020-02-28T23:30:00Z",
    )
    account = cloud_event("account", "a", {"renews_on": "2020-12-31", "churned_on": None, "name": "2020-12-31"})
    first, second = drafts(NdjsonLog(lines(tmp_path / "a.ndjson", ticket, account)), shift_days=1)
    event = decode_structured("ticket", first.value, now_micros()).event
    assert isinstance(event, TicketEvent)
    assert event.at == to_micros(datetime(2020, 2, 29, 23, 30, tzinfo=UTC))
    assert event.created_at == to_micros(datetime(2020, 1, 2, tzinfo=UTC))
    assert event.solved_at == to_micros(datetime(2020, 2, 29, 23, tzinfo=UTC))
    assert event.ticket_id == "2020-01-01"
    assert json.loads(first.value)["source"] == "/tests;moved=+1d", "they are other events than the log's"
    assert json.loads(second.value)["data"] == {"renews_on": "2021-01-01", "churned_on": None, "name": "2020-12-31"}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("hello", "event: one CloudEvent in JSON is expected on each line"),
        ("[]", "event: one CloudEvent in JSON is expected on each line"),
        ("{}", "type: is missing"),
        ({"type": "usage.recorded"}, "subject: is missing"),
        ({"type": "usage.deleted", "subject": "a"}, "type: 'usage.deleted' is unknown"),
        ({"type": None, "subject": "a"}, "type: None is unknown"),
        (usage("a") | {"data": {"feature": "x", "quantity": 0}}, "data.quantity: "),
        (usage("a") | {"data": "x"}, "data: "),
        (usage("a", time="2090-01-01T00:00:00Z"), "time: lies more than 5 minutes in the future"),
        (usage(""), "subject: "),
    ],
)
@pytest.mark.parametrize("shift_days", [0, 1])
def test_a_line_that_cannot_be_an_event_is_refused_by_its_field(
    tmp_path: Path, line: Any, reason: str, shift_days: int
) -> None:
    (chunk,) = NdjsonLog(lines(tmp_path / "a.ndjson", usage("a"), line)).drafts(1, "", shift_days)
    verdict = check(chunk, 10_000, now_micros() + shift_days * 86_400_000_000)
    assert [draft.row for draft in verdict.passed] == [1]
    (refused,) = verdict.refused
    assert refused.row == 2
    assert refused.reason.startswith(reason)


def test_lines_that_are_no_gzip_or_cut_off_are_named(tmp_path: Path) -> None:
    (tmp_path / "text.ndjson.gz").write_text("text")
    with pytest.raises(HealthError, match=r"text\.ndjson\.gz can't be read"):
        NdjsonLog(tmp_path / "text.ndjson.gz")
    whole = lines(tmp_path / "a.ndjson.gz", *[usage(str(number)) for number in range(2000)])
    whole.write_bytes(whole.read_bytes()[:-5000])
    log = NdjsonLog(whole)
    with pytest.raises(HealthError, match=r"a\.ndjson\.gz can't be read: .*Check that it is complete"):
        drafts(log)

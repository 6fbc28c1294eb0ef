"""Replays of event logs: the local engine gives what one process gives, keeps what is finished, and explains faults."""

import asyncio
import gzip
import json
import os
import time
from collections.abc import Callable
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from msgspec.structs import replace

from scoring.rules.policy import Policy
from scoring.state.calendar import MICROSECONDS_PER_DAY, to_micros
from service.jobs.backtest import event_log, partitioned_log
from service.jobs.backtest.engine_local import LocalEngine, run_partition
from service.jobs.backtest.event_log import partition_log
from service.jobs.backtest.partitioned_log import ABANDONED_SECONDS, PartitionedLog, unfinished_folder
from service.jobs.backtest.policy_codec import decode_policy, encode_policy
from service.jobs.backtest.replay_task import AccountTask, ReplayRow
from service.jobs.backtest.run import replay_log
from service.jobs.load.files import LoadRequest, mapping_of
from service.jobs.load.terminal import Advance, StoppedError
from service.runtime.errors import HealthError
from tests.support.event_logs import BEGIN, DAYS, log_of, replayed, some_policy, write_log

ACCOUNTS = [f"acme-{number}" for number in range(9)] + ["Äpfel", "zeta", "\U0001f600"]
LAST = to_micros(BEGIN) + DAYS * MICROSECONDS_PER_DAY


class InThisProcess(LocalEngine, frozen=True):
    """The local engine without its processes."""

    def _run(self, task: AccountTask, work: Any, events: Any, advance: Advance) -> None:
        for number, (source, result) in work.items():
            run_partition(task, source, result)
            advance(events[number])


def opened(*files: Path, work: Path, **options: Any) -> PartitionedLog:
    order = LoadRequest(files, None, mapping_of(files, None, [], []), work, **options)
    return asyncio.run(partition_log(order, 100_000, asyncio.Event()))


def rows_of(log: PartitionedLog, policy: Policy, until: int | None = LAST, **options: Any) -> list[ReplayRow]:
    return list(replay_log(log, policy, InThisProcess(), until=until, **options))


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitioned_log, "FLUSH_ROWS", 50)


def test_processes_give_the_same_rows_in_the_same_order_as_one_process(tmp_path: Path) -> None:
    events = log_of(ACCOUNTS)
    log = opened(write_log(tmp_path / "log.ndjson", events), work=tmp_path / "work")
    expected = replayed(events, some_policy(), LAST)
    assert list(replay_log(log, some_policy(), LocalEngine(2), until=LAST)) == expected
    assert expected == sorted(expected, key=lambda row: (row.account, row.day))
    assert {crossing.rule for row in expected for crossing in row.crossings} == {"low", "red", "quiet"}


def test_a_full_replay_gives_the_same_rows_as_a_short_one(tmp_path: Path) -> None:
    events = log_of(ACCOUNTS, seed=2)
    log = opened(write_log(tmp_path / "log.ndjson", events), work=tmp_path / "work")
    full = rows_of(log, some_policy(), full=True)
    assert full == rows_of(log, some_policy()) == replayed(events, some_policy(), LAST, full=True)


def test_a_replay_ends_with_the_last_day_of_the_log_or_when_it_is_told(tmp_path: Path) -> None:
    events = log_of(ACCOUNTS[:3])
    log = opened(write_log(tmp_path / "log.ndjson", events), work=tmp_path / "work")
    last = max(row.day for row in rows_of(log, some_policy(), until=None))
    assert last == log.contents.newest // MICROSECONDS_PER_DAY
    moments = sorted({(each["subject"], to_micros(datetime.fromisoformat(each["time"]))) for each in events})
    # Between two events of an account on one day.
    early = next(
        at
        for (account, at), (other, later) in pairwise(moments)
        if account == other and at // MICROSECONDS_PER_DAY == later // MICROSECONDS_PER_DAY
    )
    assert rows_of(log, some_policy(), early) == replayed(events, some_policy(), early)


def test_an_account_is_in_one_partition_however_many_files_it_comes_from(tmp_path: Path) -> None:
    events = log_of(ACCOUNTS)
    files = [write_log(tmp_path / f"{part}.ndjson", events[part::3]) for part in range(3)]
    log = opened(*files, work=tmp_path / "work")
    accounts = [
        set(pq.read_table(log.partition(number))["account"].to_pylist())
        for number in range(len(log.contents.partitions))
    ]
    assert sorted(account for some in accounts for account in some) == sorted(ACCOUNTS)
    assert rows_of(log, some_policy()) == replayed(events, some_policy(), LAST)
    assert (log.contents.events, log.contents.accounts) == (len(events), len(ACCOUNTS))


def results(log: PartitionedLog) -> dict[Path, int]:
    return {file: file.stat().st_mtime_ns for file in (log.folder / "results").rglob("part-*.parquet")}


def test_only_what_is_not_finished_is_worked_out_again(tmp_path: Path) -> None:
    log = opened(write_log(tmp_path / "log.ndjson", log_of(ACCOUNTS)), work=tmp_path / "work")
    first = rows_of(log, some_policy())
    before = results(log)
    lost, cut, *kept = sorted(before)
    lost.unlink()
    cut.write_bytes(cut.read_bytes()[:-9])
    seen: list[int] = []
    assert rows_of(log, some_policy(), advance=seen.append) == first
    after = results(log)
    assert {file: after[file] for file in kept} == {file: before[file] for file in kept}
    assert after.keys() == before.keys()
    assert after[cut] != before[cut]
    assert sum(seen) == log.contents.events


@pytest.mark.parametrize(
    "other",
    [
        lambda policy: replace(policy, rules=policy.rules[1:]),
        lambda policy: replace(policy, retention=60),
        lambda policy: replace(policy, scorecards=policy.scorecards[1:]),
    ],
)
def test_another_policy_has_results_of_its_own(tmp_path: Path, other: Callable[[Policy], Policy]) -> None:
    events = log_of(ACCOUNTS)
    log = opened(write_log(tmp_path / "log.ndjson", events), work=tmp_path / "work")
    rows_of(log, some_policy())
    changed = other(some_policy())
    assert rows_of(log, changed) == replayed(events, changed, LAST)


def test_a_log_that_has_not_changed_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write_log(tmp_path / "log.ndjson", log_of(ACCOUNTS))
    log = opened(file, work=tmp_path / "work")
    written = log.partition(0).stat().st_mtime_ns
    assert opened(file, work=tmp_path / "work") == log
    assert log.partition(0).stat().st_mtime_ns == written
    monkeypatch.setattr(event_log, "code_fingerprint", lambda: "another version")
    assert opened(file, work=tmp_path / "work").folder != log.folder
    with file.open("a") as more:
        more.write(json.dumps(log_of(["late"])[0]) + "\n")
    assert opened(file, work=tmp_path / "work").contents.accounts == len(ACCOUNTS) + 1


def test_a_policy_survives_its_encoding() -> None:
    policy = some_policy()
    again = decode_policy(encode_policy(policy))
    documents = [(card.version, card.document) for card in policy.scorecards]
    assert [(card.version, card.document) for card in again.scorecards] == documents
    assert (again.rules, again.retention) == (policy.rules, policy.retention)


def test_times_move_to_now_as_in_a_load(tmp_path: Path) -> None:
    file = write_log(tmp_path / "log.ndjson", log_of(ACCOUNTS[:2]))
    log = opened(file, work=tmp_path / "work", shift_to_now=True)
    plain = opened(file, work=tmp_path / "work")
    moved = log.contents.first_day - plain.contents.first_day
    assert moved > 0
    shifted = rows_of(log, some_policy(), None)
    assert [row.day - moved for row in shifted] == [row.day for row in rows_of(plain, some_policy(), None)]


def test_times_without_a_zone_are_named_as_taken_for_utc(tmp_path: Path) -> None:
    rows = {"account": ["a", "b"], "at": [BEGIN.replace(tzinfo=None)] * 2, "what": ["login"] * 2}
    pq.write_table(pa.table(rows), file := tmp_path / "log.parquet")
    mapping = mapping_of([file], "usage", ["subject=account", "time=at", "feature=what"], [])
    said: list[str] = []
    request = LoadRequest([file], "usage", mapping, tmp_path / "work")
    log = asyncio.run(partition_log(request, 10_000, asyncio.Event(), said.append))
    assert [line for line in said if "Times of at don't say" in line] == said != []
    assert log.contents.newest == to_micros(BEGIN)


# --- faults ---


def fault(*files: Path, work: Path, **options: Any) -> str:
    with pytest.raises(HealthError) as error:
        opened(*files, work=work, **options)
    assert error.value.remedy
    assert not list(work.glob("*")), "an unfinished working folder stays"
    assert not list(work.glob(".*")), "a hidden working folder stays"
    return str(error.value)


def test_an_empty_log_is_named(tmp_path: Path) -> None:
    empty = tmp_path / "log.ndjson"
    empty.touch()
    assert "log.ndjson: no events. Nothing was replayed" in fault(empty, work=tmp_path / "work")
    (packed := tmp_path / "log.ndjson.gz").write_bytes(gzip.compress(b"\n\n"))
    assert "log.ndjson.gz: no events" in fault(packed, work=tmp_path / "work")


def test_a_log_of_which_every_row_is_left_out_is_empty(tmp_path: Path) -> None:
    (bad := tmp_path / "log.ndjson").write_text("{}\n{}\n")
    assert "no events" in fault(bad, work=tmp_path / "work", skip_invalid=True)


def test_rows_that_cannot_be_events_are_named_or_counted(tmp_path: Path) -> None:
    events = log_of(ACCOUNTS[:3])
    file = write_log(tmp_path / "log.ndjson", [*events, {"type": "usage.recorded"}])
    text = fault(file, work=tmp_path / "work")
    assert f"row {len(events) + 1}: subject: is missing. Nothing was replayed" in text
    assert "--skip-invalid" in text
    log = opened(file, work=tmp_path / "work", skip_invalid=True)
    assert (log.contents.skipped, log.contents.events) == (1, len(events))


@pytest.mark.parametrize("kept", [0.999, 0.5, 0.01])
def test_a_parquet_file_that_was_cut_short_is_named(tmp_path: Path, kept: float) -> None:
    rows = 5_000
    table = pa.table({"account": [f"a{n % 7}" for n in range(rows)], "at": [BEGIN] * rows, "what": ["login"] * rows})
    pq.write_table(table, file := tmp_path / "log.parquet")
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * kept)])
    mapping = mapping_of([file], "usage", ["subject=account", "time=at", "feature=what"], [])
    with pytest.raises(HealthError, match=r"log.parquet can't be read as Parquet.*Check that it is complete"):
        asyncio.run(partition_log(LoadRequest([file], "usage", mapping, tmp_path / "work"), 10_000, asyncio.Event()))


def test_a_file_cut_short_within_its_rows_leaves_nothing_half_done(tmp_path: Path) -> None:
    packed = gzip.compress("".join(f"{json.dumps(event)}\n" for event in log_of(ACCOUNTS)).encode())
    (file := tmp_path / "log.ndjson.gz").write_bytes(packed[: len(packed) // 2])
    assert "Check that it is complete" in fault(file, work=tmp_path / "work")


def test_a_stopped_reading_leaves_nothing_half_done(tmp_path: Path) -> None:
    file = write_log(tmp_path / "log.ndjson", log_of(ACCOUNTS))
    stop = asyncio.Event()
    stop.set()
    with pytest.raises(StoppedError, match="Nothing was replayed"):
        asyncio.run(partition_log(LoadRequest([file], None, None, tmp_path / "work"), 10_000, stop))
    assert not list((tmp_path / "work").iterdir())


def test_what_killed_runs_have_left_is_removed_after_a_day(tmp_path: Path) -> None:
    old, recent = tmp_path / ".log.old", tmp_path / ".log.recent"
    for left in (old, recent):
        (left / "events").mkdir(parents=True)
    os.utime(old, (0, time.time() - ABANDONED_SECONDS - 60))
    with unfinished_folder(tmp_path):
        assert (old.exists(), recent.exists()) == (False, True)


def test_a_working_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    file = write_log(tmp_path / "log.ndjson", log_of(ACCOUNTS[:1]))
    with pytest.raises(HealthError, match=r"working folder .*file.*can't be written.*--work-dir"):
        opened(file, work=tmp_path / "file" / "below")


def test_a_damaged_partition_is_named_with_the_folder_to_delete(tmp_path: Path) -> None:
    log = opened(write_log(tmp_path / "log.ndjson", log_of(ACCOUNTS)), work=tmp_path / "work")
    log.partition(3).write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(HealthError, match=r"part-0003.parquet can't be read") as error:
        list(replay_log(log, some_policy(), LocalEngine(1)))
    assert error.value.remedy == f"Delete {log.folder}, and run the command again"


def test_a_process_that_is_killed_is_reported_with_a_remedy(tmp_path: Path) -> None:
    log = opened(write_log(tmp_path / "log.ndjson", log_of(ACCOUNTS)), work=tmp_path / "work")
    with pytest.raises(HealthError, match=r"want of memory.*fewer --processes"):
        LocalEngine(1).run(log, Killed(), lambda _: None)


class Killed:
    """Ends its process as the kernel does for want of memory."""

    schema = pa.schema([("account", pa.string()), ("day", pa.int32())])
    digest = b"killed"

    def rows(self, account_id: str, events: list[Any]) -> pa.Table:
        os.kill(os.getpid(), 9)
        raise AssertionError

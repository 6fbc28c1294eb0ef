"""The harness of all benchmarks: command lines, and runs from their options to their files."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest
from msgspec import Struct

from benchmarks.harness import benchmark
from benchmarks.harness.benchmark import run_benchmark
from benchmarks.harness.processes import ContenderFailedError, helping
from benchmarks.harness.results import Column, table_of
from benchmarks.harness.statistics import medians
from benchmarks.harness.terminal import parse
from benchmarks.ingest.contenders import ContenderRun
from benchmarks.ingest.results import IngestOptions, IngestResults
from benchmarks.reads.results import ReadsOptions
from benchmarks.soak.results import SoakOptions
from benchmarks.sweep import SweepOptions, SweepResults
from benchmarks.versions import VersionsOptions
from benchmarks.webhooks.results import WebhooksOptions


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of raw results, empty; RESULTS-….md are written beside it. A run changes environment and signals."""
    monkeypatch.setattr(benchmark, "FOLDER", tmp_path / "results")
    monkeypatch.setattr(os, "environ", os.environ.copy())
    handler = signal.getsignal(signal.SIGTERM)
    yield tmp_path / "results"
    signal.signal(signal.SIGTERM, handler)


def command_line(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr("sys.argv", ["benchmark", *words])


@pytest.mark.parametrize(
    ("options", "arguments", "wanted"),
    [
        (IngestOptions, [], {"events": 1_000_000, "only": ("ours", "two", "bare", "quix", "kafka-streams", "scale")}),
        (ReadsOptions, ["--list-accounts", "0", "--seconds", "2.5"], {"list_accounts": 0, "seconds": 2.5}),
        (SweepOptions, ["--accounts", "20_000"], {"accounts": 20_000, "reads_per_second": 50.0}),
        (VersionsOptions, ["HEAD~1", "--in-turn"], {"earlier": "HEAD~1", "in_turn": True, "rounds": 1}),
        (WebhooksOptions, ["--seconds", "0"], {"seconds": 0, "crossing": 0.1}),
        (SoakOptions, ["--seconds", "120", "--warm-up", "0"], {"seconds": 120, "warm_up": 0}),
    ],
)
def test_options_are_the_fields_of_a_dataclass(
    options: type[Any], arguments: list[str], wanted: dict[str, Any]
) -> None:
    found, given = parse("x", options, arguments)
    assert {name: getattr(found, name) for name in wanted} == wanted
    assert (given.write, given.show) == (False, None)


@pytest.mark.parametrize(
    ("options", "arguments", "said"),
    [
        (VersionsOptions, [], "COMMIT"),
        (VersionsOptions, ["HEAD~1", "--repeat", "2"], "--repeat: take at least 3"),
        (SoakOptions, ["--seconds", "100"], "--seconds: must be 120 more than --warm-up"),
        (ReadsOptions, ["--accounts", "-1"], "--accounts: '-1' is not a number of at least 0"),
        (IngestOptions, ["--events", "many"], "--events: 'many' is not a number of at least 1"),
        (IngestOptions, ["--only", "ours,flink"], "--only: flink: take some of ours, two, bare"),
    ],
)
def test_a_wrong_option_is_named(
    options: type[Any], arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parse("x", options, arguments)
    assert said in capsys.readouterr().err.replace("argument ", "")


def swept(results: SweepResults) -> None:
    results.seconds = 2.0
    results.failed_reads = 1


def test_a_run_is_stored_shown_and_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command_line(monkeypatch, "--accounts", "1_000_000", "--write")
    with pytest.raises(SystemExit) as ended:
        run_benchmark("sweep", SweepOptions, SweepResults, swept)
    assert not ended.value.code
    shown = capsys.readouterr().out
    assert "≤ 90 s |   2 s | met" in shown
    assert "FAILED: 1 reads" in shown
    written = (folder.parent / "RESULTS-sweep.md").read_text()
    assert written.startswith("# Results: sweep\n\n`python -m benchmarks.sweep --accounts 1_000_000 --write`, ")
    (stored,) = folder.glob("sweep-*.json")
    command_line(monkeypatch, "--show", str(stored))
    with pytest.raises(SystemExit):
        run_benchmark("sweep", SweepOptions, SweepResults, lambda results: pytest.fail("nothing is measured again"))
    assert capsys.readouterr().out.strip() in shown


def test_a_failure_is_a_message_and_keeps_what_was_measured(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(results: IngestResults) -> None:
        results.runs.append(ContenderRun("ours", "zipf", 1000, 500.0, 2.0))
        raise ContenderFailedError("consume stood still")

    command_line(monkeypatch, "--only", "ours")
    with pytest.raises(SystemExit, match="error: consume stood still"):
        run_benchmark("ingest", IngestOptions, IngestResults, fail)
    (stored,) = folder.glob("ingest-*.json")
    kept = msgspec.json.decode(stored.read_bytes(), type=IngestResults)
    assert kept.options.only == ("ours",)
    assert kept.runs[0].events_per_second == 500.0


def test_wrong_scores_are_a_status_of_1(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def differ(results: IngestResults) -> None:
        results.runs.append(ContenderRun("ours", "zipf", 1000, 500.0, 2.0, checked=1, worst_difference=1.0))

    command_line(monkeypatch)
    with pytest.raises(SystemExit) as ended:
        run_benchmark("ingest", IngestOptions, IngestResults, differ)
    assert ended.value.code == 1


def test_the_services_own_settings_are_left_behind(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.environ |= {"HEALTH_BATCH_MAX_RECORDS": "7", "HEALTH_TEST_KAFKA": "localhost:9092"}
    seen: list[str] = []
    command_line(monkeypatch)
    with pytest.raises(SystemExit):
        run_benchmark("ingest", IngestOptions, IngestResults, lambda results: seen.extend(os.environ))
    assert "HEALTH_TEST_KAFKA" in seen
    assert "HEALTH_BATCH_MAX_RECORDS" not in seen


class Row(Struct):
    name: Annotated[str, Column("name")]
    hidden: int
    share: Annotated[float, Column("share", ".0%")]


def test_a_table_has_the_fields_with_a_column() -> None:
    lines = table_of([Row("a", 1, 0.25), Row("b", 2, 0.5)]).splitlines()
    assert lines == ["| name | share |", "| ---- | ----: |", "| a    |   25% |", "| b    |   50% |"]


def test_medians_keep_the_order_of_their_keys() -> None:
    assert list(medians([("b", 3.0), ("a", 1.0), ("b", 5.0), ("b", 4.0)]).items()) == [("b", 4.0), ("a", 1.0)]


def test_a_helper_that_fails_is_explained_by_its_log() -> None:
    said = r"reads.bare_app failed; its log ends:\n(.*\n)*.*IndexError"
    with helping("reads.bare_app") as helper, pytest.raises(ContenderFailedError, match=said):
        helper.findings(ContenderRun)

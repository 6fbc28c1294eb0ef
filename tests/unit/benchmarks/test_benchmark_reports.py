"""Reports of the benchmarks of reads, the sweep and webhooks, from measured numbers."""

import pytest

from benchmarks.harness.results import Circumstances, document, report
from benchmarks.harness.statistics import Latency
from benchmarks.ingest.contenders import ContenderRun
from benchmarks.reads.results import ListReads, OneReads, ReadsOptions, ReadsResults
from benchmarks.sweep import SweepOptions, SweepResults
from benchmarks.versions import Pair, VersionsOptions, VersionsResults
from benchmarks.webhooks.results import Throughput, WebhooksOptions, WebhooksResults

RAN = Circumstances("reads", "now", "make bench", {"processor": "a fast one", "PostgreSQL": "18, shared_buffers=2GB"})


def one(contender: str, per_second: float, p99: float) -> OneReads:
    return OneReads(contender, 1000, per_second, 1.0, p99, 100.0, 50.0, 0.2, 0, 0.0)


def sent(endpoints: int, per_second: float, failed: int = 0) -> Throughput:
    return Throughput(endpoints, 1000, per_second, 300.0, 60.0, 0, failed, 0.0)


def test_reads_are_compared_by_their_medians_and_lists_by_all_of_their_times() -> None:
    results = ReadsResults(RAN, ReadsOptions(100, 1000))
    assert [verdict.met for verdict in results.verdicts()] == [None, None, None]
    for bare, ours, p99 in ((1000, 500, 2.0), (900, 810, 30.2), (1100, 9000, 90.0)):
        results.one += [one("bare", bare, 20.0), one("ours", ours, p99)]
    results.lists = [ListReads("band", [10.0] * 98, 0.0), ListReads("owner", [51.0, 52.0], 0.0)]
    assert [verdict.value for verdict in results.verdicts()] == pytest.approx([0.81, 1.51, 51.0])
    assert [verdict.met for verdict in results.verdicts()] == [True, False, False]
    assert "MISSED" in report(results)
    assert "NOT A QUIET MACHINE" not in report(results)


def ran(per_second: float, cpu: float) -> ContenderRun:
    return ContenderRun("ours", "zipf", 1000, per_second, 1.0, cpu_micros=cpu, postgres_cpu_micros=1.0)


def test_a_version_is_judged_by_the_median_of_its_pairs() -> None:
    results = VersionsResults(RAN, VersionsOptions("HEAD~1"))
    for earlier, this in ((1000, 100), (500, 460), (2000, 1820)):
        results.pairs.append(Pair.of("zipf", ran(earlier, 10), ran(this, 12)))
    results.pairs.append(Pair.of("uniform", ran(1000, 10), ran(899, 9)))
    shown = report(results)
    judged = [line.split("|")[2:5] for line in shown.splitlines() if "share of the earlier" in line]
    assert [[word.strip() for word in words] for words in judged] == [
        ["≥ 0.9", "0.910", "met"],
        ["≥ 0.9", "0.899", "MISSED"],
    ]
    assert [line.split() for line in shown.splitlines() if line.startswith(("| zipf  ", "| uniform  "))][-2:] == [
        ["|", "zipf", "|", "0.91", "|", "1.20", "|", "1.00", "|"],
        ["|", "uniform", "|", "0.90", "|", "0.90", "|", "1.00", "|"],
    ]


def test_a_sweep_of_fewer_accounts_proves_nothing() -> None:
    few = SweepResults(RAN, SweepOptions(1000), seconds=1.0, reads=10)
    all_ = SweepResults(RAN, SweepOptions(1_000_000), seconds=181.0, reads=10, failed_reads=1)
    assert "not measured" in report(few)
    assert "MISSED" in report(all_)
    assert "FAILED: 1 reads" in report(all_)


def test_deliveries_are_judged_by_the_median_for_each_number_of_endpoints() -> None:
    results = WebhooksResults(RAN, WebhooksOptions())
    results.throughput = [sent(1, 900), sent(10, 2000), sent(1, 1100), sent(10, 10), sent(1, 1000), sent(10, 20, 3)]
    assert [verdict.met for verdict in results.verdicts()] == [True, False, None, None]
    results.latency = Latency(1000, 100, 120.0, 1501.0, 1700.0, 0.5)
    assert [verdict.met for verdict in results.verdicts()] == [True, False, True, False]
    shown = report(results)
    assert "FAILED: 3 deliveries" in shown
    assert "NOT A QUIET MACHINE: others took up to 50%" in shown


def test_a_file_of_results_says_when_how_and_on_what_it_was_measured() -> None:
    text = document(ReadsResults(RAN, ReadsOptions(), one=[one("bare", 7, 2.0)]))
    for said in (
        "# Results: reads",
        "`make bench`, now.",
        "- processor: a fast one",
        "shared_buffers=2GB",
        "## One account",
    ):
        assert said in text

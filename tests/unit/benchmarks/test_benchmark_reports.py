"""Reports of the benchmarks of reads, the sweep and webhooks, from measured numbers."""

import pytest

from benchmarks.harness.result_files import Circumstances, document
from benchmarks.ingest.results import ContenderRun
from benchmarks.reads import report as reads_report
from benchmarks.reads.report import ListReads, OneReads
from benchmarks.sweep import report as sweep_report
from benchmarks.versions import report as versions_report
from benchmarks.versions.report import Pair
from benchmarks.webhooks import report as webhooks_report
from benchmarks.webhooks.report import Throughput, WebhookLatency

RAN = Circumstances("now", "make bench", {"processor": "a fast one"}, {"shared_buffers": "2GB"})


def one(contender: str, per_second: float) -> OneReads:
    return OneReads(contender, 1000, per_second, 1.0, 2.0, 100.0, 50.0, 0.2, 0, 0.0)


def sent(endpoints: int, per_second: float, failed: int = 0) -> Throughput:
    return Throughput(endpoints, 1000, per_second, 300.0, 60.0, 0, failed, 0.0)


def test_reads_are_compared_by_their_medians_and_lists_by_all_of_their_times() -> None:
    results = reads_report.ReadsResults(RAN, 100, 1000, 32)
    assert [verdict.met for verdict in reads_report.verdicts(results)] == [None, None]
    for bare, ours in ((1000, 500), (900, 610), (1100, 9000)):
        results.one += [one("bare", bare), one("ours", ours)]
    assert reads_report.ratio(results) == pytest.approx(0.61)
    results.lists = [ListReads("band", [10.0] * 98, 0.0), ListReads("owner", [51.0, 52.0], 0.0)]
    assert [verdict.met for verdict in reads_report.verdicts(results)] == [True, False]
    assert "MISSED" in reads_report.report(results)
    assert "NOT A QUIET MACHINE" not in reads_report.report(results)


def ran(per_second: float, cpu: float) -> ContenderRun:
    return ContenderRun("ours", "zipf", 1000, per_second, 1.0, 1.0, cpu_micros=cpu, postgres_cpu_micros=1.0)


def test_a_version_is_judged_by_the_median_of_its_pairs() -> None:
    results = versions_report.VersionsResults(RAN, 1000)
    for earlier, this in ((1000, 100), (500, 460), (2000, 1820)):
        results.pairs.append(Pair("zipf", ran(earlier, 10), ran(this, 12)))
    results.pairs.append(Pair("uniform", ran(1000, 10), ran(899, 9)))
    report = versions_report.report(results)
    judged = [line.split("|")[2:5] for line in report.splitlines() if "share of the earlier" in line]
    assert [[word.strip() for word in words] for words in judged] == [
        ["≥ 0.9", "0.910", "met"],
        ["≥ 0.9", "0.899", "MISSED"],
    ]
    assert [line.split() for line in report.splitlines() if line.startswith(("| zipf  ", "| uniform  "))][-2:] == [
        ["|", "zipf", "|", "0.91", "|", "1.20", "|", "1.00", "|"],
        ["|", "uniform", "|", "0.90", "|", "0.90", "|", "1.00", "|"],
    ]


def test_a_sweep_of_fewer_accounts_proves_nothing() -> None:
    few = sweep_report.SweepResults(RAN, 1000, 50.0, seconds=1.0, reads=10)
    all_ = sweep_report.SweepResults(RAN, 1_000_000, 50.0, seconds=181.0, reads=10, failed_reads=1)
    assert "not measured" in sweep_report.report(few)
    assert "MISSED" in sweep_report.report(all_)
    assert "FAILED: 1 reads" in sweep_report.report(all_)


def test_deliveries_are_judged_by_the_median_for_each_number_of_endpoints() -> None:
    results = webhooks_report.WebhooksResults(RAN)
    results.throughput = [sent(1, 900), sent(10, 2000), sent(1, 1100), sent(10, 10), sent(1, 1000), sent(10, 20, 3)]
    assert [verdict.met for verdict in webhooks_report.verdicts(results)] == [True, False, None, None]
    results.latency = WebhookLatency(1000, 100, 120.0, 1501.0, 1700.0, 0.5)
    assert [verdict.met for verdict in webhooks_report.verdicts(results)] == [True, False, True, False]
    report = webhooks_report.report(results)
    assert "FAILED: 3 deliveries" in report
    assert "NOT A QUIET MACHINE: others took up to 50%" in report


def test_a_file_of_results_says_when_how_and_on_what_it_was_measured() -> None:
    text = document("reads", RAN, "## One")
    for said in ("# Results: reads", "`make bench`, now.", "- processor: a fast one", "shared_buffers=2GB", "## One\n"):
        assert said in text

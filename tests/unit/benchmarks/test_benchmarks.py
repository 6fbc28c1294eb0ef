"""The pure parts of the benchmarks: random draws, rates and percentiles, and their reports."""

import json
from itertools import pairwise

import numpy as np
import pytest

from benchmarks.harness import account_id
from benchmarks.harness.results import Circumstances, document, report, table
from benchmarks.harness.statistics import (
    Latency,
    ProgressSample,
    latencies,
    micros_per_event,
    percentile,
    rate,
    second_half,
)
from benchmarks.harness.terminal import parse
from benchmarks.harness.workload import (
    HISTORY_DAYS,
    MILLISECONDS_PER_DAY,
    Distribution,
    Workload,
    draw,
)
from benchmarks.ingest import contender_aiokafka
from benchmarks.ingest.contenders import OUR_TWO, OURS, ContenderRun
from benchmarks.ingest.expected_scores import compare, expected_scores
from benchmarks.ingest.kafka_streams import contender as kafka_streams
from benchmarks.ingest.quix import contender as quix
from benchmarks.ingest.results import IngestOptions, IngestResults, disagreements
from service.messaging.cloudevents import decode_structured

NEWEST = 1_760_000_000_000
RAN = Circumstances("ingest", "now", "make bench-ingest", {"processor": "some, 2 cores"})


def drawn(
    distribution: Distribution = "uniform", seed: int = 1, events: int = 20_000, accounts: int = 1000
) -> Workload:
    """A workload of some size."""
    return draw("w", distribution, events=events, accounts=accounts, partitions=12, seed=seed, newest=NEWEST)


def test_events_are_the_same_for_the_same_seed_and_others_for_another() -> None:
    places = np.arange(500)
    assert drawn().values(places) == drawn().values(places)
    assert drawn(seed=2).values(places) != drawn().values(places)


def test_events_are_ones_that_the_service_takes() -> None:
    workload = drawn()
    values = workload.values(np.arange(1000))
    decoded = [decode_structured("usage", value, NEWEST * 1000) for value in values]
    assert len({each.identity for each in decoded}) == 1000
    assert [each.event.account_id for each in decoded] == [account_id(n) for n in workload.account[:1000].tolist()]
    assert 230 <= np.mean([len(value) for value in values]) <= 330


def test_times_are_spread_over_the_history() -> None:
    ages = (NEWEST - drawn().time) / MILLISECONDS_PER_DAY
    assert 0 <= ages.min() < 1
    assert HISTORY_DAYS - 1 < ages.max() <= HISTORY_DAYS


def test_uniform_events_are_uniform() -> None:
    counts = np.bincount(drawn(events=100_000).account, minlength=1000)
    assert 50 < counts.min() <= counts.max() < 160


def test_zipf_events_are_zipf_and_cut_off_at_the_accounts() -> None:
    workload = drawn("zipf", events=200_000)
    counts = np.sort(np.bincount(workload.account, minlength=1000))[::-1]
    weights = np.arange(1, 1001) ** -1.2
    expected = weights / weights.sum() * len(workload)
    assert workload.account.max() < 1000
    assert counts[:8] == pytest.approx(expected[:8], rel=0.05)


def test_offsets_count_the_events_of_each_partition() -> None:
    workload = drawn()
    for partition in range(12):
        mine = workload.partition == partition
        assert workload.offset[mine].tolist() == list(range(int(mine.sum())))
    assert workload.partition[workload.account == workload.account[0]].max() == workload.partition[0]


def test_chunks_give_every_event_once_and_in_order() -> None:
    workload = drawn(events=50_000)
    values = [value for _, _, some in workload.chunks() for value in some]
    assert len(values) == 50_000
    ids = [json.loads(value)["id"] for value in values[:100] + values[-100:]]
    assert all(earlier < later for earlier, later in pairwise(ids))


def test_percentiles_are_values_that_occurred() -> None:
    values = [float(n) for n in range(1, 101)]
    assert percentile(values, 50) == 50
    assert percentile(values, 99) == 99
    assert percentile(values, 100) == 100
    assert percentile([3.0], 99) == 3.0
    assert percentile([5.0, 1.0], 50) == 1.0


def test_a_rate_leaves_out_what_was_done_before_the_clock_started() -> None:
    samples = [
        ProgressSample(10.0, 500, 1.0, 0.5),
        ProgressSample(11.0, 900, 1.2, 0.6),
        ProgressSample(12.0, 1500, 1.5, 1.0),
    ]
    assert rate(samples) == 500
    assert micros_per_event(samples) == pytest.approx((500, 500))
    assert second_half(samples) == samples[1:]
    with pytest.raises(ValueError, match="more events"):
        rate(samples[:1])


def test_latency_runs_to_the_first_sight_of_a_commit_that_holds_the_record() -> None:
    seen = {0: [(1.0, 0), (2.0, 2), (3.0, 5)], 1: [(2.5, 1)]}
    assert latencies([(0, 0, 1.5), (0, 2, 1.6), (1, 0, 2.0)], seen) == pytest.approx([0.5, 1.4, 0.5])
    with pytest.raises(ValueError, match="never committed"):
        latencies([(1, 1, 2.0)], seen)


def test_expected_scores_are_those_of_what_was_folded() -> None:
    workload = drawn(events=5000, accounts=50)
    everything = expected_scores(workload, dict.fromkeys(range(12), 5000))
    assert len(everything) == 50
    nothing_of_first = expected_scores(workload, dict.fromkeys(range(1, 12), 5000))
    gone = {account_id(n) for n in workload.account[workload.partition == 0].tolist()}
    assert set(everything) - set(nothing_of_first) == gone


def test_scores_differ_where_they_are_missing() -> None:
    assert compare({"a": 50.0, "b": None}, {"a": 50.004, "b": None}) == pytest.approx(0.004)
    assert compare({"a": 50.0}, {}) == 100
    assert compare({"a": 50.0}, {"a": None}) == 100


def run(contender: str, per_second: float, distribution: str = "zipf", difference: float | None = None) -> ContenderRun:
    """A run with the result `per_second`."""
    return ContenderRun(
        contender, distribution, 1000, per_second, 1.0, checked=200 if difference is not None else 0,
        worst_difference=difference,
    )  # fmt: skip


def some_results() -> IngestResults:
    """Results that meet some targets, miss some, and don't know some."""
    results = IngestResults(RAN, parse("ingest", IngestOptions, [])[0])
    results.runs = [
        run(OURS, 90_000, difference=0.0),
        run(OURS, 70_000, difference=0.0),
        run(OURS, 80_000, difference=0.0),
        run(contender_aiokafka.NAME, 150_000),
        run(quix.NAME, 8_000, difference=0.0),
        run(kafka_streams.NAME, 40_000, difference=0.0),
        run(OUR_TWO, 30_000, "uniform", difference=0.0),
        run(contender_aiokafka.NAME, 120_000, "uniform"),
    ]
    results.latency = Latency(1000.0, 30_000, 40.0, 90.0, 300.0, 0.0)
    return results


def test_targets_are_judged_by_the_median() -> None:
    found = {verdict.what: verdict for verdict in some_results().verdicts()}
    of_bare = found["zipf: events/s as a multiple of aiokafka poll + decode"]
    assert of_bare.value == pytest.approx(80 / 150)
    assert of_bare.met is True
    assert found["zipf: events/s as a multiple of Quix Streams"].met is True
    assert found["zipf: events/s as a multiple of Kafka Streams"].met is False
    assert found["uniform: events/s as a multiple of Quix Streams"].met is None
    of_two = found["uniform, two processes: events/s as a multiple of aiokafka poll + decode"]
    assert (of_two.value, of_two.met) == (0.25, False)
    assert found["produce to commit, p99"].met is True


def test_the_report_says_what_was_missed_left_out_and_wrong() -> None:
    results = some_results()
    results.left_out = ["Kafka Streams, because there is no `java` on the PATH"]
    results.runs.append(run(quix.NAME, 8_000, "uniform", difference=3.0))
    text = report(results)
    assert "MISSED" in text
    assert "not measured" in text
    assert "LEFT OUT: Kafka Streams" in text
    assert "SCORES DIFFER: Quix Streams, uniform: by up to 3 points" in text
    assert disagreements(results.runs) == ["Quix Streams, uniform: by up to 3 points"]
    assert "QUIET" not in text


def test_the_report_says_when_others_were_busy() -> None:
    results = some_results()
    results.runs[0].foreign = 0.4
    assert "NOT A QUIET MACHINE: others took up to 40%" in report(results)


def test_written_results_hold_versions_and_the_raw_numbers_but_no_samples() -> None:
    results = some_results()
    results.runs[0].samples = [ProgressSample(1.0, 1)]
    text = document(results)
    assert "- processor: some, 2 cores" in text
    raw = json.loads(text.split("```json\n")[1].split("\n```")[0])
    assert raw["runs"][0]["events_per_second"] == 90_000
    assert raw["runs"][0]["samples"] == []
    assert results.runs[0].samples


def test_tables_are_aligned() -> None:
    lines = table([["name", "n"], ["a", "1,000"], ["longer", "2"]]).splitlines()
    assert lines == ["| name   |     n |", "| ------ | ----: |", "| a      | 1,000 |", "| longer |     2 |"]


def test_options() -> None:
    options, given = parse("ingest", IngestOptions, ["--events", "50_000", "--only", "ours,bare", "--write"])
    assert options.events == 50_000
    assert options.only == ("ours", "bare")
    assert options.distributions == ("zipf", "uniform")
    assert given.write
    assert not given.show
    with pytest.raises(SystemExit):
        parse("ingest", IngestOptions, ["--only", "flink"])
    with pytest.raises(SystemExit):
        parse("ingest", IngestOptions, ["--events", "0"])

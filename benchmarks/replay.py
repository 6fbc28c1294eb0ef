"""`make bench-replay`: days of accounts judged a second by replays, by a process alone and by the engine."""

import asyncio
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
import pyarrow.parquet as pq
from msgspec import Struct, field

from benchmarks.harness.benchmark import run_benchmark
from benchmarks.harness.machine import ForeignLoad
from benchmarks.harness.processes import ROOT
from benchmarks.harness.results import Column, Foreign, Results, ThresholdVerdict, section, table_of
from benchmarks.harness.terminal import option, say
from scoring.backtest.replay import Replay, replay, replay_scores
from scoring.rules.conditions import BandRule, DropRule, Rule, ScoreRule, SilenceRule
from scoring.rules.policy import Policy
from scoring.scorecards.document import DEFAULT, parse
from scoring.scorecards.scorecard import compile_scorecard
from scoring.state.account_state import RETENTION_DAYS
from scoring.state.calendar import MICROSECONDS_PER_DAY
from scoring.state.events import Event
from service.evaluation.policy import starter
from service.jobs.backtest.account_events import by_account, decode_events
from service.jobs.backtest.engine_local import LocalEngine
from service.jobs.backtest.event_log import partition_log
from service.jobs.backtest.partitioned_log import PartitionedLog
from service.jobs.backtest.run import replay_log
from service.jobs.load.files import log_request
from service.runtime.settings import Settings

SOCIAL = ROOT.parent / "shared" / "data" / "social.events.parquet"
COLUMNS = ("subject=account", "feature=type", "time=time")
MEGABYTE = 1024
LEAST = {"lean": 8_000, "full": 3_500}
MOST_MB = 400
FLATTEST = 0.9
"""The least speed of the longest log, in proportion to that of the shortest."""
RULES = (
    Rule("low", "Low", ScoreRule(direction="below", level=40, clear_level=45)),
    Rule("fell", "Fell", DropRule(points=15, days=14)),
    Rule("red", "Red", BandRule(to=["red"])),
    Rule("quiet", "Quiet", SilenceRule(level=5)),
)


@dataclass(frozen=True)
class ReplayOptions:
    """Replay a log of usage by the default scorecard: lean (scores, crossings) and full (history and journal too)."""

    events: str = option(str(SOCIAL), "usage: account, time, type", str, "FILE")
    accounts: int = option(120, "accounts replayed by a process alone, in logs of each length")
    lengths: int = option(3, "lengths of the log: once, twice, four times … the days that it has")


class LengthRow(Struct):
    """Replays by one process, of a log so many times as long; account-days a second of processor time."""

    times: Annotated[int, Column("length of the log", "d")]
    account_days: Annotated[int, Column("account-days", ",")]
    lean: Annotated[float, Column("lean/s", ",.0f")]
    full: Annotated[float, Column("full/s", ",.0f")]
    lean_with_rules: Annotated[float, Column("lean/s, 4 rules", ",.0f")]


class EngineRow(Struct):
    """The whole log by one process of the engine, from files of events to files of rows."""

    mode: Annotated[str, Column("engine")]
    account_days: Annotated[int, Column("account-days", ",")]
    rate: Annotated[float, Column("/s of CPU", ",.0f")]
    wall_rate: Annotated[float, Column("/s", ",.0f")]
    peak_mb: Annotated[float, Column("peak MB", ",.0f")]
    """At most: the system counts the memory of the process that started it, until it was started."""
    foreign: Foreign


class ReplayResults(Results[ReplayOptions]):
    """All of one `make bench-replay`."""

    log_events: int = 0
    reader_mb: float = 0.0
    read_rate: float = 0.0
    lengths: list[LengthRow] = field(default_factory=list)
    engine: list[EngineRow] = field(default_factory=list)

    def sections(self) -> list[str]:
        found = []
        if self.lengths:
            found.append(section("One process, events in memory", table_of(self.lengths)))
        if self.engine:
            reader = (
                f"Read and parted by account before: {self.read_rate:,.0f} events/s, peak {self.reader_mb:,.0f} MB."
            )
            found.append(section(f"The engine, {self.log_events:,} events", table_of(self.engine), reader))
        return found

    def verdicts(self) -> list[ThresholdVerdict]:
        rates = {mode: getattr(self.lengths[0], mode) if self.lengths else None for mode in LEAST}
        peaks = [each.peak_mb for each in self.engine]
        flat = self.lengths[-1].lean / self.lengths[0].lean if len(self.lengths) > 1 else None
        return [
            *(
                ThresholdVerdict(f"{mode}, a core", rates[mode], least=least, unit="/s")
                for mode, least in LEAST.items()
            ),
            ThresholdVerdict("lean, longest log / shortest", flat, least=FLATTEST, decimals=2),
            ThresholdVerdict("memory of a process", max(peaks, default=None), most=MOST_MB, unit="MB"),
            ThresholdVerdict("memory of the reader", self.reader_mb or None, most=MOST_MB, unit="MB"),
        ]


def measure(results: ReplayResults) -> None:
    """Measure the engine first: peak memory is that of all that a process has done."""
    with tempfile.TemporaryDirectory() as folder:
        log = _read(results, Path(folder))
        for mode in LEAST:
            say(f"the engine, {mode} …")
            results.engine.append(_by_engine(log, mode))
        say("a process alone …")
        events = _events(log, results.options.accounts)
    span = log.contents.newest // MICROSECONDS_PER_DAY - log.contents.first_day + 1
    for doubling in range(results.options.lengths):
        results.lengths.append(_by_length(events, 2**doubling, span))


def _read(results: ReplayResults, folder: Path) -> PartitionedLog:
    settings = Settings(_env_file=None)
    request = log_request(settings, folder, [Path(results.options.events)], settings.topic_usage, COLUMNS, (), None)
    started = time.monotonic()
    log = asyncio.run(partition_log(request, settings.max_record_bytes, asyncio.Event(), lambda _: None))
    results.read_rate = log.contents.events / (time.monotonic() - started)
    results.reader_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MEGABYTE
    results.log_events = log.contents.events
    return log


def _policy(rules: Sequence[Rule] = ()) -> Policy:
    return Policy((compile_scorecard(parse(starter(DEFAULT), RETENTION_DAYS), 1),), tuple(rules))


def _by_engine(log: PartitionedLog, mode: str) -> EngineRow:
    before, started = _children(), time.monotonic()
    with ForeignLoad() as foreign:
        rows = sum(1 for _ in replay_log(log, _policy(), LocalEngine(1), full=mode == "full", advance=lambda _: None))
    cpu, wall = _children() - before, time.monotonic() - started
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / MEGABYTE
    return EngineRow(mode, rows, rows / cpu, rows / wall, peak, foreign.share)


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _events(log: PartitionedLog, accounts: int) -> list[list[Event]]:
    """The events of the first accounts."""
    found: list[list[Event]] = []
    for number in range(len(log.contents.partitions)):
        for table in by_account(pq.read_table(log.partition(number))):
            found.append(decode_events(table))
            if len(found) == accounts:
                return found
    return found


def _by_length(events: Sequence[Sequence[Event]], times: int, span: int) -> LengthRow:
    """The accounts with their events repeated, each time `span` days later."""
    longer = [[_later(event, repeat, span) for repeat in range(times) for event in own] for own in events]
    until = (max(event.at for own in longer for event in own) // MICROSECONDS_PER_DAY + 1) * MICROSECONDS_PER_DAY - 1
    days, lean = _rate(replay_scores, longer, _policy(), until)
    _, full = _rate(replay, longer, _policy(), until)
    _, ruled = _rate(replay_scores, longer, _policy(RULES), until)
    say(f"{times} times as long: {lean:,.0f} lean and {full:,.0f} full account-days/s")
    return LengthRow(times, days, lean, full, ruled)


def _later(event: Event, repeat: int, span: int) -> Event:
    if not repeat:
        return event
    at, day = event.at + repeat * span * MICROSECONDS_PER_DAY, event.broker_day + repeat * span
    changes = {"day": day} if hasattr(event, "day") else {}
    return msgspec.structs.replace(event, at=at, broker_day=day, id=f"{event.id}-{repeat}", **changes)


def _rate(
    judge: Callable[[Sequence[Event], Policy, int], Replay],
    events: Sequence[Sequence[Event]],
    policy: Policy,
    until: int,
) -> tuple[int, float]:
    """The number of account-days, and how many a second of processor time."""
    started = time.process_time()
    days = sum(len(judge(own, policy, until).scores) for own in events)
    return days, days / (time.process_time() - started)


if __name__ == "__main__":
    run_benchmark("replay", ReplayOptions, ReplayResults, measure)

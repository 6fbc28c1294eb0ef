"""The results of a benchmark run, as stored in JSON."""

from msgspec import Struct, field

from benchmarks.harness.statistics import ProgressSample


class ContenderRun(Struct):
    """One contender on one topic, once."""

    contender: str
    distribution: str
    events: int
    events_per_second: float
    seconds: float
    """From the first event to the last commit."""
    whole_seconds: float
    """The same with the start of the process."""
    cpu_micros: float = 0.0
    """Processor time of the process, per event."""
    postgres_cpu_micros: float = 0.0
    second_half: float | None = None
    """Events a second in the second half."""
    rss_mb: float | None = None
    peak_rss_mb: float | None = None
    commits: int = 0
    """The number of observed steps of the committed offsets."""
    foreign: float = 0.0
    """The share of the machine's processors that others took meanwhile; a run with much more than 0 is a poor one."""
    checked: int = 0
    """Accounts whose score was compared with the expected one."""
    worst_difference: float | None = None
    samples: list[ProgressSample] = field(default_factory=list)


class IngestLatency(Struct):
    """Produce to commit, in milliseconds."""

    events: int
    events_per_second: float
    p50: float
    p99: float
    worst: float
    foreign: float
    """See `ContenderRun.foreign`."""


class IngestResults(Struct):
    """All of one `make bench`."""

    started_at: str
    command: str
    accounts: int
    events: int
    machine: dict[str, str] = field(default_factory=dict)
    postgres_settings: dict[str, str] = field(default_factory=dict)
    runs: list[ContenderRun] = field(default_factory=list)
    latency: IngestLatency | None = None
    left_out: list[str] = field(default_factory=list)
    """Measurements that were left out, with the reason."""

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


class Scale(Struct):
    """The cost of events among so many accounts."""

    accounts: int
    events: int
    micros: float
    """Wall-clock time per event."""
    cpu_micros: float
    postgres_cpu_micros: float
    peak_rss_mb: float | None
    loading_events_per_second: float
    """The rate of the rounds before, which began without any account."""
    commits: int
    foreign: float
    """See `ContenderRun.foreign`."""


class Remembering(Struct):
    """The memory for folded events."""

    events: int
    rss_mb: float
    """The growth of the process."""
    cpu_micros: float
    """Processor time per event, to look it up and to remember it."""


class Profile(Struct):
    """A profile: shares of the samples, in percent."""

    distribution: str
    samples: int
    packages: list[tuple[str, float]]
    """By the package whose Python function was running, with what it ran in C."""
    own: list[tuple[str, float]]
    """By that function."""
    total: list[tuple[str, float]]
    """By every function on the stack, from the consumer's loop down."""


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
    remembering: Remembering | None = None
    scale: list[Scale] = field(default_factory=list)
    profiles: list[Profile] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    """Measurements that were left out, with the reason."""

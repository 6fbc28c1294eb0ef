"""The work of an engine on one account: its replay, as rows of an Arrow table.

Tasks are pickled, and run where only `scoring`, this package, msgspec and pyarrow are installed.
"""

from collections import Counter, defaultdict
from typing import Any, NamedTuple, Protocol

import msgspec
import pyarrow as pa
from msgspec import Struct

from scoring.backtest.replay import Replay, ReplayedCrossing, replay, replay_scores
from scoring.state.calendar import MICROSECONDS_PER_DAY
from scoring.state.events import Event
from service.jobs.backtest.account_events import ACCOUNT, decode_events
from service.jobs.backtest.policy_codec import decode_policy

DAY = "day"


class AccountTask(Protocol):
    """A pure function of one account's events."""

    @property
    def schema(self) -> pa.Schema:
        """The schema of the rows: `account` and `day` come first."""

    @property
    def digest(self) -> bytes:
        """All that the rows depend on, beside the events and the code."""

    def rows(self, account_id: str, events: list[Event]) -> pa.Table:
        """The rows of the account, in order of day; none if `events` are of no use."""


def run_task(task: AccountTask, table: pa.Table) -> pa.Table:
    """The rows of the one account whose events `table` has, in any order."""
    return task.rows(table[ACCOUNT][0].as_py(), decode_events(table))


class DayCrossing(NamedTuple):
    """A rule that began or stopped firing at `at` (microseconds); it had begun at `began_at`. `owner` was the account's
    then.
    """

    at: int
    rule: str
    state: str
    score: float | None
    began_at: int
    owner: str | None


class ReplayRow(NamedTuple):
    """A day of an account: the score and the band at its end, the number of its events, and the crossings within it."""

    account: str
    day: int
    score: float | None
    band: str
    events: int
    crossings: tuple[DayCrossing, ...]


_CROSSING = pa.struct(
    [
        pa.field("at", pa.int64()),
        pa.field("rule", pa.string()),
        pa.field("state", pa.string()),
        pa.field("score", pa.float64()),
        pa.field("began_at", pa.int64()),
        pa.field("owner", pa.string()),
    ]
)
_SCHEMA = pa.schema(
    [
        pa.field(ACCOUNT, pa.string()),
        pa.field(DAY, pa.int32()),
        pa.field("score", pa.float64()),
        pa.field("band", pa.string()),
        pa.field("events", pa.int64()),
        pa.field("crossings", pa.list_(_CROSSING)),
    ]
)


class ReplayTask(Struct, frozen=True):
    """Replay an account by a policy, up to `until` (microseconds), in full or only its scores and crossings.

    Both give the same rows.
    """

    policy: bytes
    """As `encode_policy` has it: compiled scorecards can't be pickled."""
    until: int
    full: bool = False

    @property
    def schema(self) -> pa.Schema:
        """See `AccountTask`."""
        return _SCHEMA

    @property
    def digest(self) -> bytes:
        """See `AccountTask`."""
        return msgspec.msgpack.encode(self)

    def rows(self, account_id: str, events: list[Event]) -> pa.Table:
        """See `AccountTask`."""
        past = (replay if self.full else replay_scores)(events, decode_policy(self.policy), self.until)
        counts = Counter(event.at // MICROSECONDS_PER_DAY for event in events if event.at <= self.until)
        crossings = _by_day(past)
        columns = [
            [account_id] * len(past.scores),
            [score.day for score in past.scores],
            [score.score for score in past.scores],
            [score.band for score in past.scores],
            [counts[score.day] for score in past.scores],
            [crossings.get(score.day, ()) for score in past.scores],
        ]
        arrays = [pa.array(column, field.type) for column, field in zip(columns, _SCHEMA, strict=True)]
        return pa.Table.from_arrays(arrays, schema=_SCHEMA)


def replay_rows(batch: pa.RecordBatch) -> list[ReplayRow]:
    """The rows that `ReplayTask` made."""
    columns = batch.to_pydict()
    columns["crossings"] = [tuple(DayCrossing(**crossing) for crossing in day) for day in columns["crossings"]]
    return [ReplayRow(*values) for values in zip(*columns.values(), strict=True)]


def _by_day(past: Replay) -> dict[int, list[dict[str, Any]]]:
    days: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for each in past.crossings:
        days[each.at // MICROSECONDS_PER_DAY].append(_crossing(each)._asdict())
    return days


def _crossing(each: ReplayedCrossing) -> DayCrossing:
    crossing = each.crossing
    return DayCrossing(each.at, crossing.rule.id, crossing.state, each.score, crossing.began_at, each.owner)

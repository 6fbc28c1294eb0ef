"""The work of an engine on one account for a calibration: what was known of it on the day of each decision.

Tasks are pickled, and run where only `scoring`, this package, msgspec, numpy and pyarrow are installed.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import msgspec
import pyarrow as pa
from msgspec import Struct

from scoring.backtest.calibration.candidates import Candidate, read, usable
from scoring.backtest.calibration.readings import states_at
from scoring.backtest.horizon import Timing
from scoring.backtest.outcomes import LeftOut, Lifetime, Outcome
from scoring.backtest.report import COUNT_DAYS
from scoring.scorecards.measure import Missing
from scoring.scorecards.scorecard import evaluate
from scoring.scorecards.selection import choose
from scoring.state.calendar import day_of, first_day
from scoring.state.events import Event, UsageEvent
from service.jobs.backtest.account_events import ACCOUNT
from service.jobs.backtest.policy_codec import decode_policy
from service.jobs.backtest.replay_task import DAY

NOT_FOR_IT = "the scorecard wasn't for this account on the day of the decision"
VALUES = "values"
_TENURE = Candidate("tenure_days").reader()

_FEATURES = pa.schema([pa.field(ACCOUNT, pa.string()), pa.field(DAY, pa.int32()), pa.field("feature", pa.string()),
                       pa.field("events", pa.int64())])  # fmt: skip
_READINGS = pa.schema(
    [
        pa.field(ACCOUNT, pa.string()),
        pa.field(DAY, pa.int32()),
        pa.field("outcome_day", pa.int32()),
        pa.field("churned", pa.bool_()),
        pa.field("left_out", pa.string()),
        pa.field("score", pa.float64()),
        pa.field("events", pa.int64()),
        pa.field("tenure", pa.int32()),
        pa.field(VALUES, pa.list_(pa.float32())),
    ]
)


class FeaturesTask(Struct, frozen=True):
    """Count the events of each feature that an account used; their `day` is 0."""

    @property
    def schema(self) -> pa.Schema:
        """See `AccountTask`."""
        return _FEATURES

    @property
    def digest(self) -> bytes:
        """See `AccountTask`."""
        return b"features"

    def rows(self, account_id: str, events: list[Event]) -> pa.Table:
        """See `AccountTask`."""
        counts = Counter(event.feature for event in events if isinstance(event, UsageEvent))
        return _table([(account_id, 0, feature, count) for feature, count in sorted(counts.items())], _FEATURES)


class ReadingsTask(Struct, frozen=True):
    """Read the candidates on the day of each decision, with the score of the policy's scorecard and the plain count.

    Everything comes from the events up to the end of that day. Decisions are those for which the scorecard `name` is
    the one that applies, all of them if it is None; the others, and outcomes without a decision, have a reason in
    `left_out`, and no readings.
    """

    candidates: tuple[Candidate, ...]
    policy: bytes
    """As `encode_policy` has it."""
    outcomes: bytes
    """As `encode_outcomes` has them."""
    log_ends: int
    timing: Timing
    name: str | None = None

    @property
    def schema(self) -> pa.Schema:
        """See `AccountTask`."""
        return _READINGS

    @property
    def digest(self) -> bytes:
        """See `AccountTask`."""
        return msgspec.msgpack.encode(self)

    def rows(self, account_id: str, events: list[Event]) -> pa.Table:
        """See `AccountTask`."""
        own = _decode_outcomes(self.outcomes).get(account_id)
        if not own or not events:
            return _READINGS.empty_table()
        return _table([*self._rows(account_id, events, own)], _READINGS)

    def _rows(self, account_id: str, events: list[Event], own: "OwnOutcomes") -> Iterator["Reading"]:
        outcomes = [Outcome(account_id, day, churned) for day, churned in own]
        times = sorted(event.at for event in events)
        lifetime = Lifetime(day_of(times[0]), day_of(times[-1]))
        decisions = self.timing.decide(outcomes, {account_id: lifetime}, self.log_ends)
        policy = decode_policy(self.policy)
        readers = [candidate.reader() for candidate in usable(self.candidates)]
        days = [decision.day for decision in decisions.made]
        for state, decision in zip(states_at(events, days, policy.retention), decisions.made, strict=True):
            day = decision.day
            card = choose(policy.scorecards, state, day)
            if self.name not in (None, card.name):
                yield _left_out(LeftOut(decision.outcome, NOT_FOR_IT), day)
                continue
            tenure = _TENURE(state, day)
            yield Reading(
                account_id,
                day,
                decision.outcome.day,
                decision.outcome.churned,
                None,
                evaluate(card, state, day).score,
                _count(times, day),
                day - lifetime.first if isinstance(tenure, Missing) else int(tenure),
                read(readers, state, day),
            )
        for each in decisions.left_out:
            yield _left_out(each, each.outcome.day)


OwnOutcomes = list[tuple[int, bool]]
"""The day of each outcome of an account, and whether it churned."""


def encode_outcomes(outcomes: Iterable[Outcome]) -> bytes:
    """Outcomes by account; equal ones in another order give equal bytes."""
    by_account: dict[str, OwnOutcomes] = {}
    for account_id, day, churned in sorted(outcomes):
        by_account.setdefault(account_id, []).append((day, churned))
    return msgspec.msgpack.encode(by_account)


@lru_cache(maxsize=1)
def _decode_outcomes(encoded: bytes) -> dict[str, OwnOutcomes]:
    return msgspec.msgpack.decode(encoded, type=dict[str, OwnOutcomes])


class Reading(NamedTuple):
    """A row of `ReadingsTask`. `score` is None while there is too little data; `events` are the plain count."""

    account: str
    day: int
    outcome_day: int
    churned: bool
    left_out: str | None
    score: float | None
    events: int | None
    tenure: int | None
    values: list[float]


def _left_out(each: LeftOut, day: int) -> Reading:
    account_id, outcome_day, churned = each.outcome
    return Reading(account_id, day, outcome_day, churned, each.reason, None, None, None, [])


def _count(times: Sequence[int], day: int) -> int:
    """The plain count: the events of the last days, of any kind, as a back-test has it."""
    return bisect_right(times, day, key=day_of) - bisect_left(times, first_day(day, COUNT_DAYS), key=day_of)


def _table(rows: Sequence[tuple[object, ...]], schema: pa.Schema) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else [()] * len(schema)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)

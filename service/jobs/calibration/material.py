"""The material of a calibration: the readings of all decisions of an event log, worked out by an engine."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from msgspec import Struct

from scoring.backtest.calibration.calibrate import Others
from scoring.backtest.calibration.candidates import Candidate, CandidatesError, candidates
from scoring.backtest.calibration.readings import Readings, readings
from scoring.backtest.horizon import Timing
from scoring.backtest.outcomes import Decision, LeftOut, Outcome
from scoring.rules.policy import Policy
from scoring.scorecards.scorecard import NEUTRAL
from scoring.state.calendar import day_of
from service.jobs.backtest.account_events import ACCOUNT
from service.jobs.backtest.partitioned_log import PartitionedLog
from service.jobs.backtest.policy_codec import encode_policy
from service.jobs.backtest.readings_task import VALUES, FeaturesTask, ReadingsTask, encode_outcomes
from service.jobs.backtest.run import Engine, run_task_on
from service.jobs.load.terminal import bar
from service.runtime.errors import HealthError

IN_FORCE, COUNT = "the scorecard in force", "a plain count of events"
"""The names of what a calibrated scorecard is compared with, in a sentence."""
MOST_DECISIONS = 200_000
"""Decisions of which the readings are in memory: each has some hundred numbers."""
MOST_FEATURES = 100_000
"""Features that are counted at a time; when there are more, rare ones are forgotten."""


class Request(Struct, frozen=True):
    """The scorecards in force, and the way of looking at accounts before their outcomes.

    Decisions are those of the accounts for which the scorecard `name` applies, or of all if it is None.
    """

    policy: Policy
    outcomes: Sequence[Outcome]
    timing: Timing
    name: str | None = None
    without: Collection[str] = ()


class Material(NamedTuple):
    """The readings of all decisions, what else is known of them, and the outcomes that have none.

    `tried` is the number of candidates, of which `known` has those that tell accounts apart.
    """

    known: Readings
    others: Others
    left_out: list[LeftOut]
    tried: int


def read_material(log: PartitionedLog, request: Request, engine: Engine) -> Material:
    """Read the candidates of a log on the day of each decision; a bar shows the progress.

    Raises `HealthError` if a measure to leave out is unknown, or there are too many decisions.
    """
    with bar("Counting features", log.contents.events) as advance:
        frequencies = _frequencies(run_task_on(log, FeaturesTask(), engine, advance))
    try:
        tried = candidates(frequencies, request.policy.retention, without=request.without)
    except CandidatesError as error:
        raise HealthError(f"--without: {error}") from None
    log_ends = day_of(log.contents.newest)
    outcomes = encode_outcomes(request.outcomes)
    task = ReadingsTask(tuple(tried), encode_policy(request.policy), outcomes, log_ends, request.timing, request.name)
    found = _Collected()
    with bar("Replaying", log.contents.events) as advance:
        for batch in run_task_on(log, task, engine, advance):
            found.add(batch)
    unknown = [outcome for outcome in request.outcomes if outcome.account_id not in found.accounts]
    found.left_out += request.timing.decide(unknown, {}, log_ends).left_out
    return found.material(tried)


def _frequencies(batches: Iterable[pa.RecordBatch]) -> Counter[str]:
    """The events of each feature. Of very many features only rare ones may lack some."""
    found: Counter[str] = Counter()
    for batch in batches:
        for feature, events in zip(batch["feature"].to_pylist(), batch["events"].to_pylist(), strict=True):
            found[feature] += events
        if len(found) > MOST_FEATURES:
            found = Counter(dict(found.most_common(MOST_FEATURES // 2)))
    return found


class _Collected:
    """The rows of `ReadingsTask`, column by column."""

    def __init__(self) -> None:
        self.accounts: set[str] = set()
        self.left_out: list[LeftOut] = []
        self._decisions: list[Decision] = []
        self._scores: list[float] = []
        self._counts: list[float] = []
        self._tenures: list[int] = []
        self._values: list[np.ndarray] = []

    def add(self, batch: pa.RecordBatch) -> None:
        """Add the rows of one account. Raises `HealthError` if there are too many."""
        rows = batch.drop_columns([VALUES]).to_pydict()
        for account, day, outcome_day, churned, reason, score, events, tenure in zip(*rows.values(), strict=True):
            outcome = Outcome(account, outcome_day, churned)
            if reason is not None:
                self.left_out.append(LeftOut(outcome, reason))
                continue
            self._decisions.append(Decision(account, day, outcome))
            self._scores.append(NEUTRAL if score is None else score)
            self._counts.append(float(events))
            self._tenures.append(tenure)
        self.accounts.update(rows[ACCOUNT])
        self._values.append(batch.column(VALUES).flatten().to_numpy(zero_copy_only=False))
        if len(self._decisions) > MOST_DECISIONS:
            raise HealthError(
                f"The log and the outcomes give more than {MOST_DECISIONS:,} decisions, too many for the memory",
                "Give the outcomes of a shorter time, such as those of the last year: recent ones say more, too",
            )

    def material(self, tried: Sequence[Candidate]) -> Material:
        """All of it."""
        values = np.concatenate(self._values or [np.zeros(0, np.float32)]).reshape(-1, len(tried))
        self._values.clear()
        known = readings(tried, self._decisions, values)
        others = Others(
            {IN_FORCE: np.array(self._scores), COUNT: np.array(self._counts)}, np.array(self._tenures, np.int64)
        )
        return Material(known, others, self.left_out, len(tried))

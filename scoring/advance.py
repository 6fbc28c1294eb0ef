"""One step of one account: fold new events, evaluate each day up to now, apply the rules to the score."""

from collections.abc import Sequence

from msgspec import UNSET, Struct, UnsetType, field

from scoring.history.day_by_day import DayByDay, with_due_pending
from scoring.history.fast_path import fold_in_one_day
from scoring.history.rule_changes import NONE, moved_by_change
from scoring.history.score_run import ScoreRun
from scoring.rules.conditions import RuleMemory
from scoring.rules.crossings import Crossing, Memories, apply_rules, observe
from scoring.rules.policy import Policy
from scoring.scorecards.override import Override
from scoring.scorecards.scorecard import Evaluation
from scoring.state.account_state import AccountState
from scoring.state.calendar import start_of
from scoring.state.events import Event


class AccountStep(Struct, frozen=True, gc=False):
    """The result of a step. `due` is the time in microseconds at which the account must be evaluated again even without
    events.

    `closed` are the runs of days that ended; `switched` is True if another scorecard applies than before, and not only
    another calibration of it.
    """

    evaluation: Evaluation
    score_run: ScoreRun
    memory: dict[str, RuleMemory]
    crossings: list[Crossing]
    closed: list[ScoreRun] = field(default_factory=list)
    switched: bool = False
    late: int = 0
    due: int = 0


def advance(
    state: AccountState,
    score_run: ScoreRun | None,
    memory: Memories,
    events: Sequence[Event],
    policy: Policy,
    now: int,
    *,
    source: str | None = None,
    override: Override | UnsetType | None = UNSET,
    backfill: bool = False,
) -> AccountStep:
    """Fold `events` into `state`, in place, and evaluate each day from `score_run` to `now` (microseconds).

    The last day is that of `now`, or the newest broker day seen if the clock is behind it. An event counts from its
    broker's day on, whenever it is folded. `source` sent the newest usage before. `override` is set by hand, or
    withdrawn if it is None. `backfill` says that all events are loaded history.
    """
    moved = moved_by_change(state, score_run, memory, policy, now) if policy.changed else NONE
    course = fold_in_one_day(state, score_run, events, policy, now) if override is UNSET else None
    if course is None:
        days = DayByDay(state, score_run, policy, now)
        days.run(events)
        if override is not UNSET:
            days.set_override(override)
        course = days.finish()
    after, evaluation, switched = course.score_run, course.evaluation, course.switched
    due = start_of(evaluation.day + 1)
    if after.override is not None and after.override.expires_at is not None:
        due = min(due, after.override.expires_at)
    if not policy.rules and not memory:
        return AccountStep(evaluation, after, {}, [], course.closed, switched, course.late, due)
    held = not events and override is UNSET and source in policy.silent_sources
    bulk = backfill or (switched and policy.digest is not None)
    today = with_due_pending(state, evaluation.day)
    observation = observe(today, evaluation, after.override, policy, held=held, bulk=bulk)
    verdicts = apply_rules(today, memory, course.closings, observation, policy, now, moved)
    return AccountStep(
        evaluation,
        after,
        verdicts.memory,
        verdicts.crossings,
        course.closed,
        switched,
        course.late,
        min(due, verdicts.ready_at or due),
    )

"""The past of an account: its runs of days with the same contributions, including the current one."""

from bisect import bisect_left
from collections.abc import Sequence

from msgspec.structs import replace

from scoring.history.day_by_day import DayByDay, evaluate_now
from scoring.history.journal import JournalCause, Reason
from scoring.history.score_run import ScoreRun, is_ahead
from scoring.history.timeline import Timeline
from scoring.rules.policy import Policy
from scoring.state.account_state import AccountState


class Past:
    """Score runs in order of time, at least one; the last one is the current one."""

    def __init__(self, runs: Sequence[ScoreRun], live_from: int | None = None) -> None:
        """`runs` follow each other without a gap, but may begin long after the account did. Those before the day
        `live_from` were replayed; None if all are live.
        """
        self.runs = runs
        self.live_from = live_from
        self._ends = [run.day for run in runs]

    @property
    def first_day(self) -> int:
        """The first known day."""
        return self.runs[0].since

    def at(self, day: int) -> ScoreRun | None:
        """The run that covers the end of `day`; None before the first known day and after the last."""
        index = bisect_left(self._ends, day)
        run = self.runs[index] if index < len(self.runs) else None
        return run if run is not None and run.since <= day else None


def up_to_now(
    closed: Sequence[ScoreRun],
    state: AccountState,
    score_run: ScoreRun | None,
    policy: Policy,
    now: int,
    live_from: int | None = None,
) -> Past:
    """The past as it is at `now` (microseconds), however long ago the account was evaluated; `closed` are its stored
    runs, and those before the day `live_from` were replayed.

    `state` is moved on, in place. Evaluations at a future day are left out: the last run is of today even so.
    """
    if score_run is not None and is_ahead(score_run.day, now):
        return Past(_up_to_today(closed, state, score_run, policy, now), live_from)
    course = DayByDay(state, score_run, policy, now)
    course.run(())
    last, _ = course.timeline.finish()
    return Past([*closed, *course.timeline.closed, last], live_from)


def _up_to_today(
    closed: Sequence[ScoreRun], state: AccountState, score_run: ScoreRun, policy: Policy, now: int
) -> list[ScoreRun]:
    """The runs without future days, and with today according to `state`."""
    evaluation = evaluate_now(state, policy, now)
    runs = [run for run in (*closed, score_run) if run.since <= evaluation.day]
    before = replace(runs[-1], day=evaluation.day) if runs else None
    card = policy.find(before.scorecard, before.version) if before else None
    timeline = Timeline(before, card, policy.find)
    cause: JournalCause = "events" if card is None or card.scores_like(evaluation.card) else "scorecard"
    timeline.move(Reason(cause, now), evaluation)
    timeline.set_override(Reason("override", now), score_run.override, evaluation.day)
    last, _ = timeline.finish()
    return [*runs[:-1], *timeline.closed, last]

"""An account's past: the runs of days on which all its measures contributed the same, up to what stands."""

from bisect import bisect_left
from collections.abc import Sequence

from scoring.course import Course
from scoring.policy import Policy
from scoring.standing import Standing
from scoring.state import AccountState


class Past:
    """Runs in order of time; the last one is what stands. There is one at least."""

    def __init__(self, runs: Sequence[Standing]) -> None:
        """`runs` follow each other without a gap, but may begin long after the account did."""
        self.runs = runs
        self._ends = [run.day for run in runs]

    @property
    def first_day(self) -> int:
        """The first day that is known."""
        return self.runs[0].since

    def at(self, day: int) -> Standing | None:
        """What stood at the end of `day`; None before the first day that is known, and after the last."""
        index = bisect_left(self._ends, day)
        run = self.runs[index] if index < len(self.runs) else None
        return run if run is not None and run.since <= day else None


def up_to_now(
    closed: Sequence[Standing], state: AccountState, standing: Standing | None, policy: Policy, now: int
) -> Past:
    """The past as it is at `now` (microseconds), whenever the account was last judged; `closed` are its stored runs.

    `state` is moved on, in place.
    """
    course = Course(state, standing, policy, now)
    course.run(())
    stands, _ = course.timeline.finish()
    return Past([*closed, *course.timeline.closed, stands])

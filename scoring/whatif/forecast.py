"""Forecasts the effect of silence: an account's coming days without events, and when its rules would fire or clear.

It takes the same steps as `advance` called without events whenever the account is due, with the same result; but it
evaluates each day once, and computes nothing that is only there to be stored.
"""

from collections.abc import Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from scoring.history.day_by_day import LONGEST_GAP, with_due_pending
from scoring.history.score_run import ScoreRun, is_ahead
from scoring.rules.conditions import OK, Rule
from scoring.rules.crossings import DayClosing, Memories, apply_rules, observe
from scoring.rules.policy import Policy
from scoring.scorecards.override import Override
from scoring.scorecards.scorecard import Evaluation, evaluate
from scoring.scorecards.selection import choose
from scoring.state.account_state import AccountState, apply_pending
from scoring.state.attributes import churned_on
from scoring.state.calendar import day_of, start_of


class Situation(Struct, frozen=True):
    """The current facts about an account. `memory` holds its rule memories, `source` sent its newest usage."""

    state: AccountState
    score_run: ScoreRun | None = None
    memory: Memories = {}
    source: str | None = None


class PredictedCrossing(Struct, frozen=True):
    """A rule that will begin or stop firing at a time (microseconds), with the account's evaluation then."""

    rule: Rule
    state: str
    """`firing` or `resolved`."""
    at: int
    evaluation: Evaluation


class Forecast(Struct, frozen=True):
    """An account now and on each coming day, and the first crossing of each rule, in order of time.

    A crossing can be at `at` (microseconds), if the account hasn't been evaluated since something became due.
    """

    at: int
    now: Evaluation
    days: list[Evaluation]
    crossings: list[PredictedCrossing]

    @property
    def firings(self) -> list[PredictedCrossing]:
        """The rules that don't fire now, but will."""
        return [each for each in self.crossings if each.state == "firing" and each.at > self.at]


def forecast(situation: Situation, policy: Policy, now: int, days: int, *, whole: bool = True) -> Forecast:
    """The account at `now` (microseconds) and on the `days` days after; the situation stays as it is.

    Unless it must be `whole`, it ends on the day on which the last of the rules that don't fire now begins to.
    """
    silence = _Silence(_of_today(situation, now), policy, now)
    today = silence.evaluation
    later: list[Evaluation] = []
    while len(later) < days and (whole or silence.awaited):
        later.append(silence.pass_day())
    return Forecast(now, today, later, list(silence.crossings.values()))


def _of_today(situation: Situation, now: int) -> Situation:
    """The situation as if the account had been evaluated today, if it was evaluated at a future day."""
    score_run = situation.score_run
    if score_run is None or not is_ahead(score_run.day, now):
        return situation
    today = max(day_of(now), situation.state.newest)
    return replace(situation, score_run=replace(score_run, day=today, since=min(score_run.since, today)))


class _Silence:
    """An account as time passes. `crossings` holds the first of each rule so far, by rule id.

    `awaited` are the rules that don't fire and haven't begun to, and can apply to the account.
    """

    def __init__(self, situation: Situation, policy: Policy, now: int) -> None:
        score_run = situation.score_run
        today = max(day_of(now), situation.state.newest, score_run.day if score_run else 0)
        self.crossings: dict[str, PredictedCrossing] = {}
        self.awaited = _awaited(situation, policy, today)
        self._policy = policy
        self._memory = situation.memory
        self._override = score_run.override if score_run else None
        self._held = situation.source in policy.silent_sources
        # A copy if anything is pending, and otherwise nothing changes: so pending entries can be applied in place.
        self._state = with_due_pending(situation.state, today)
        self.evaluation = self._evaluate_day(today)
        self._observe(now, list(_closings(situation, policy, today)) if policy.drops else ())

    def pass_day(self) -> Evaluation:
        """End a day; returns the evaluation of the next one."""
        closed = self.evaluation
        self.evaluation = self._evaluate_day(closed.day + 1)
        self._observe(start_of(closed.day + 1), [(closed.day, closed.score)])
        return self.evaluation

    def _evaluate_day(self, day: int) -> Evaluation:
        apply_pending(self._state, day)
        return _evaluated(self._state, self._policy, day)

    def _observe(self, at: int, closings: Sequence[DayClosing]) -> None:
        """Apply the rules at the instant `at`, and later in the day whenever one is ready or an override ends."""
        if not self._policy.rules and not self._memory:
            return
        end = start_of(self.evaluation.day + 1)
        while at < end:
            override = self._in_force(at)
            observation = observe(self._state, self.evaluation, override, self._policy, held=self._held)
            verdicts = apply_rules(self._state, self._memory, closings, observation, self._policy, at)
            self._memory, closings = verdicts.memory, ()
            for crossing in verdicts.crossings:
                self.crossings.setdefault(
                    crossing.rule.id, PredictedCrossing(crossing.rule, crossing.state, at, self.evaluation)
                )
                self.awaited.discard(crossing.rule.id)
            expires_at = override.expires_at if override else None
            at = min(end, verdicts.ready_at or end, expires_at or end)

    def _in_force(self, at: int) -> Override | None:
        override = self._override
        return None if override and override.expires_at is not None and override.expires_at <= at else override


def _awaited(situation: Situation, policy: Policy, today: int) -> set[str]:
    attributes, memory = situation.state.attributes, situation.memory
    value = attributes.value
    if not attributes.pending and churned_on(attributes, today) is not None:
        return set()
    about = value("segment"), value("stage"), value("owner")
    return {
        rule.id
        for rule in policy.rules
        if memory.get(rule.id, OK).state != "firing" and (attributes.pending or rule.condition.applies(*about))
    }


def _closings(situation: Situation, policy: Policy, today: int) -> Iterator[DayClosing]:
    """The days that have ended since the account was last evaluated."""
    score_run = situation.score_run
    if score_run is None or score_run.day == today:
        return
    first = max(score_run.day, today - LONGEST_GAP)
    if first == score_run.day:
        if policy.find(score_run.scorecard, score_run.version):
            yield first, score_run.score
        first += 1
    for day in range(first, today):
        yield day, _evaluated(with_due_pending(situation.state, day), policy, day).score


def _evaluated(state: AccountState, policy: Policy, day: int) -> Evaluation:
    return evaluate(choose(policy.scorecards, state, day), state, day)

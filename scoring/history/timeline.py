"""The timeline of an account: moves its score run on, cause by cause, and collects the runs that end.

A run of days on which all measures contribute the same is one row of history: the first move on a later day that
changes a contribution closes it.
"""

from msgspec.structs import replace

from scoring.history.journal import FindScorecard, Journal, JournalBase, Reason, note
from scoring.history.journal_codec import decode_journal, encode_journal, has_waiting
from scoring.history.score_run import ScoreRun, encode_readings
from scoring.scorecards.contributions import contributions_in_billionths
from scoring.scorecards.override import Override
from scoring.scorecards.scorecard import Evaluation, Scorecard


class Timeline:
    """Moves one account on. `closed` are the runs that ended on the way; `finish` returns the last one."""

    __slots__ = ("_card", "_evaluation", "_find", "_journal", "_readings", "_score_run", "_since", "closed", "override")

    def __init__(self, score_run: ScoreRun | None, card: Scorecard | None, find: FindScorecard) -> None:
        """`card` produced the score run; `find` returns published scorecards, in force or not."""
        self.closed: list[ScoreRun] = []
        self.override = score_run.override if score_run else None
        self._score_run = score_run
        self._card = card
        self._find = find
        self._since = score_run.since if score_run else 0
        self._readings = score_run.readings if score_run else ""
        self._journal: Journal | None = None
        self._evaluation: Evaluation | None = None

    @property
    def is_evaluated(self) -> bool:
        """False before the first evaluation, or if its scorecard no longer exists."""
        return self._card is not None

    @property
    def score(self) -> float | None:
        """The current score; only where `is_evaluated`."""
        if self._evaluation is not None:
            return self._evaluation.score
        return self._score_run.score if self._score_run else None

    def move(self, reason: Reason, after: Evaluation) -> None:
        """Make `after` the current evaluation, because of `reason`."""
        readings = encode_readings(after.readings)
        if self._card is None or self._changes(self._card, after, readings):
            self._begin(after.day)
            self._note(reason)
        elif self._card is not after.card:
            # Another calibration: the days before keep theirs, and nothing moved that could be explained.
            self._begin(after.day)
        self._evaluation = after
        self._card = after.card
        self._readings = readings

    def set_override(self, reason: Reason, override: Override | None, day: int) -> None:
        """Make another override, or none, current from `day` on."""
        if self.override != override:
            self._begin(day)
            self._note(reason)
            self.override = override

    def finish(self) -> tuple[ScoreRun, Evaluation]:
        """The final score run and its evaluation; there must have been a move."""
        evaluation = self._evaluation
        assert evaluation is not None
        return self._run_until(evaluation.day), evaluation

    def _changes(self, card: Scorecard, after: Evaluation, readings: str) -> bool:
        if not card.scores_like(after.card):
            return True
        if readings == self._readings:
            return False
        if self._since == after.day:
            return True
        before = self._evaluation or self._score_run
        if before is None or before.score != after.score or before.coverage != after.coverage:
            return True
        # Only now, as nearly all moves change the score.
        evaluation = before.evaluation(card) if isinstance(before, ScoreRun) else before
        return contributions_in_billionths(evaluation) != contributions_in_billionths(after)

    def _begin(self, day: int) -> None:
        """Begin a run on `day`, unless one has begun then."""
        if self._since < day:
            if self._journal is None and self._score_run is not None and has_waiting(self._score_run.journal):
                self._journal = decode_journal(self._score_run.journal, self._find)  # history is stored for long
            if self._score_run is not None or self._evaluation is not None:
                self.closed.append(self._run_until(day - 1))
            self._since = day
            self._journal = Journal()

    def _note(self, reason: Reason) -> None:
        if self._journal is None:
            self._journal = decode_journal(self._score_run.journal if self._score_run else None, self._find)
        note(self._journal, reason, self._before, self._find)

    def _before(self) -> JournalBase | None:
        return JournalBase(self._readings, self._card.name, self._card.version) if self._card else None

    def _run_until(self, day: int) -> ScoreRun:
        """The current score run, up to `day`."""
        after, score_run = self._evaluation, self._score_run
        journal = encode_journal(self._journal) if self._journal else score_run.journal if score_run else None
        if after is None:
            assert score_run is not None
            return replace(score_run, day=day, since=self._since, journal=journal, override=self.override)
        card = after.card
        return ScoreRun(
            day,
            self._since,
            after.score,
            after.band,
            after.coverage,
            card.name,
            card.version,
            self._readings,
            journal,
            self.override,
        )

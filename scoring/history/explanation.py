"""Explains the change of a score between two days: per cause and per measure, summing exactly to the change.

Everything is counted in billionths of a point. An unknown score counts as 0.
"""

from msgspec import Struct, field

from scoring.history.journal import MOST_IDS, EventId, FindScorecard, entries
from scoring.history.journal_codec import decode_journal
from scoring.history.runs import Past
from scoring.history.score_run import ScoreRun
from scoring.scorecards.contributions import BILLION, Billionths, add, change, contributions_in_billionths
from scoring.scorecards.scorecard import Evaluation

UNRECORDED = "unrecorded"
"""The cause of changes that no journal records: the account was evaluated before journals existed, or its live history
begins after replayed days.
"""
SEAM = "live history begins here; the days before were replayed"
"""The note at the first live day after replayed ones."""
OVERRIDE = "override"


class Effect(Struct):
    """The effect of one cause: the change of each measure, with the newest of its events and notes."""

    cause: str
    deltas: Billionths = field(default_factory=dict)
    events: int = 0
    ids: tuple[EventId, ...] = ()
    notes: tuple[str, ...] = ()
    at: int = 0

    @property
    def delta(self) -> int:
        """The change of the score."""
        return sum(self.deltas.values())


class Explanation(Struct, frozen=True):
    """The change from one day's end to another's; `before` is null if the account wasn't known yet."""

    before: ScoreRun | None
    after: ScoreRun
    effects: list[Effect]

    @property
    def measures(self) -> Billionths:
        """The change of each measure, over all causes."""
        total: Billionths = {}
        for effect in self.effects:
            add(total, effect.deltas)
        return total

    @property
    def change(self) -> int:
        """The change of the effective score."""
        return sum(self.measures.values())


def evaluation_of(run: ScoreRun | None, find: FindScorecard) -> Evaluation | None:
    """The evaluation of a run; None if there is no run, or its scorecard no longer exists."""
    card = find(run.scorecard, run.version) if run else None
    return run.evaluation(card) if run and card else None


def explain_change(past: Past, first: int, last: int, find: FindScorecard) -> Explanation | None:
    """Explain the change from the end of day `first` to that of `last`; None if nothing is known of `last`."""
    before, after = past.at(first), past.at(last)
    if after is None:
        return None
    effects: dict[str, Effect] = {}
    previous = before
    for run in past.runs:
        if first < run.since <= last:
            for effect in effects_of(run, previous, past, find):
                _merge(effects, effect)
            previous = run
    if adjusted := _adjustment(after, find) - _adjustment(before, find):
        _merge(effects, Effect(OVERRIDE, {OVERRIDE: adjusted}))
    return Explanation(before, after, list(effects.values()))


def effects_of(run: ScoreRun, previous: ScoreRun | None, past: Past, find: FindScorecard) -> list[Effect]:
    """The effects on the day that a run of `past` began, compared with the run before. Without one, they are those that
    the journal records: what the score was before isn't known.

    The journal of the first live day begins at nothing, as the service knew no earlier day then. After replayed days it
    would give the whole score as the work of that day's events, so the change is shown without a cause.
    """
    evaluation = evaluation_of(run, find)
    left = change(contributions_in_billionths(evaluation_of(previous, find)), contributions_in_billionths(evaluation))
    if previous is not None and run.since == past.live_from:
        return [Effect(UNRECORDED, left, notes=(SEAM,))] if left else []
    effects = []
    for entry, deltas in entries(decode_journal(run.journal, find), evaluation, find):
        effects.append(Effect(entry.cause, dict(deltas), entry.events, entry.ids, entry.notes, entry.at))
        add(left, {name: -delta for name, delta in deltas.items()})
    return [*effects, Effect(UNRECORDED, left)] if left and previous is not None else effects


def _merge(effects: dict[str, Effect], effect: Effect) -> None:
    known = effects.setdefault(effect.cause, Effect(effect.cause))
    add(known.deltas, effect.deltas)
    known.events += effect.events
    known.ids = (*known.ids, *effect.ids)[-MOST_IDS:]
    known.notes = (*known.notes, *effect.notes)
    known.at = max(known.at, effect.at)


def _adjustment(run: ScoreRun | None, find: FindScorecard) -> int:
    """The difference between the effective score and the computed one, made by an override."""
    evaluation = evaluation_of(run, find)
    if run is None or run.override is None or evaluation is None or run.override.score is None:
        return 0
    computed = evaluation.score or 0.0
    return int(round(run.override.score * BILLION) - round(computed * BILLION))

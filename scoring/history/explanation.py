"""Why a score moved from one day to another: in points, per cause and per measure, summing exactly to the change.

Everything is counted in billionths of a point. A score that is unknown counts as 0.
"""

from msgspec import Struct, field

from scoring.history.journal import MOST_IDS, EventId, FindScorecard, entries
from scoring.history.journal_codec import decode_journal
from scoring.history.runs import Past
from scoring.history.score_run import ScoreRun
from scoring.scorecards.contributions import BILLION, Billionths, add, change, contributions_in_billionths
from scoring.scorecards.scorecard import Evaluation

UNRECORDED = "unrecorded"
"""The cause of what no journal tells: accounts that were judged before there was one."""
OVERRIDE = "override"


class Effect(Struct):
    """What one cause did: by how much it moved each measure, and the newest of the events and words on it."""

    cause: str
    deltas: Billionths = field(default_factory=dict)
    events: int = 0
    ids: tuple[EventId, ...] = ()
    notes: tuple[str, ...] = ()
    at: int = 0

    @property
    def delta(self) -> int:
        """By how much it moved the score."""
        return sum(self.deltas.values())


class Explanation(Struct, frozen=True):
    """From one day's end to another's; `before` is null where the account wasn't known yet."""

    before: ScoreRun | None
    after: ScoreRun
    effects: list[Effect]

    @property
    def measures(self) -> Billionths:
        """By how much each measure moved, all causes together."""
        total: Billionths = {}
        for effect in self.effects:
            add(total, effect.deltas)
        return total

    @property
    def change(self) -> int:
        """By how much the score that counts has moved."""
        return sum(self.measures.values())


def evaluation_of(run: ScoreRun | None, find: FindScorecard) -> Evaluation | None:
    """The evaluation of a run; None if there is no run, or its scorecard is gone."""
    card = find(run.scorecard, run.version) if run else None
    return run.evaluation(card) if run and card else None


def explain_change(past: Past, first: int, last: int, find: FindScorecard) -> Explanation | None:
    """Why the score moved from the end of day `first` to that of `last`; None if nothing is known of `last`."""
    before, after = past.at(first), past.at(last)
    if after is None:
        return None
    effects: dict[str, Effect] = {}
    previous = before
    for run in past.runs:
        if first < run.since <= last:
            for effect in effects_of(run, previous, find):
                _merge(effects, effect)
            previous = run
    if adjusted := _adjustment(after, find) - _adjustment(before, find):
        _merge(effects, Effect(OVERRIDE, {OVERRIDE: adjusted}))
    return Explanation(before, after, list(effects.values()))


def effects_of(run: ScoreRun, previous: ScoreRun | None, find: FindScorecard) -> list[Effect]:
    """What happened on the day that a run began, after the one before."""
    evaluation = evaluation_of(run, find)
    left = change(contributions_in_billionths(evaluation_of(previous, find)), contributions_in_billionths(evaluation))
    effects = []
    for entry, deltas in entries(decode_journal(run.journal, find), evaluation, find):
        effects.append(Effect(entry.cause, dict(deltas), entry.events, entry.ids, entry.notes, entry.at))
        add(left, {name: -delta for name, delta in deltas.items()})
    return [*effects, Effect(UNRECORDED, left)] if left else effects


def _merge(effects: dict[str, Effect], effect: Effect) -> None:
    known = effects.setdefault(effect.cause, Effect(effect.cause))
    add(known.deltas, effect.deltas)
    known.events += effect.events
    known.ids = (*known.ids, *effect.ids)[-MOST_IDS:]
    known.notes = (*known.notes, *effect.notes)
    known.at = max(known.at, effect.at)


def _adjustment(run: ScoreRun | None, find: FindScorecard) -> int:
    """By how much the score that counts differs from that which was computed, because of an override."""
    evaluation = evaluation_of(run, find)
    if run is None or run.override is None or evaluation is None or run.override.score is None:
        return 0
    computed = evaluation.score or 0.0
    return int(round(run.override.score * BILLION) - round(computed * BILLION))

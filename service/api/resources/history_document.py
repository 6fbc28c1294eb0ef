"""An account's past as it is answered: day by day, with the causes of its moves. Pure."""

from collections.abc import Mapping
from datetime import date, datetime

from msgspec import Struct

from scoring.history.explanation import Effect, Explanation, effects_of, evaluation_of
from scoring.history.journal import FindScorecard
from scoring.history.runs import Past
from scoring.history.score_run import ScoreRun
from scoring.scorecards.calibration import churn_probability
from scoring.scorecards.contributions import BILLION, contributions_in_billionths
from scoring.scorecards.scorecard import Band
from scoring.state.calendar import from_day, from_micros
from service.api.resources.health_document import OverrideShown, ScorecardName, show_override


class EventName(Struct, frozen=True):
    """The identity of an event."""

    source: str
    id: str


class EventSummary(Struct, frozen=True):
    """The number of events, and the newest of them."""

    count: int
    ids: list[EventName]


class MeasureMove(Struct, frozen=True):
    """The points by which a measure moved the score."""

    measure: str
    delta: float


class CauseMove(Struct, frozen=True):
    """The effect of one cause, in points: events, correction, time, scorecard, override, or unrecorded.

    Its measures sum to `delta`. `at` is the time of its last move.
    """

    cause: str
    delta: float
    measures: list[MeasureMove]
    events: EventSummary
    notes: list[str]
    at: datetime | None


class HistoryDay(Struct, frozen=True):
    """An account at the end of a day; `changes` are the changes of that day. `churn_probability` is that of the
    calibration then in force.
    """

    day: date
    score: float | None
    churn_probability: float | None
    band: Band
    coverage: float
    scorecard: ScorecardName
    contributions: dict[str, float]
    override: OverrideShown | None
    changes: list[CauseMove]


class History(Struct, frozen=True):
    """An account's days, oldest first; none before the first known one."""

    account_id: str
    items: list[HistoryDay]


class End(Struct, frozen=True):
    """An account at the end of a day; nulls if it wasn't known yet."""

    day: date
    score: float | None
    churn_probability: float | None
    band: Band
    scorecard: ScorecardName | None
    override: OverrideShown | None


class Why(Struct, frozen=True, rename={"from_": "from"}):
    """The causes of a score's move: `causes` sum to `change`, and so do `measures`. An unknown score counts as 0 here,
    and an overridden one as the value that was set.
    """

    account_id: str
    from_: End
    to: End
    change: float
    causes: list[CauseMove]
    measures: list[MeasureMove]


def history_document(account_id: str, past: Past, first: int, last: int, find: FindScorecard) -> History:
    """The days `first` to `last` of a past, as far as they are known."""
    items: list[HistoryDay] = []
    previous: ScoreRun | None = None
    for run in past.runs:
        days = range(max(run.since, first), min(run.day, last) + 1)
        changes = effects_of(run, previous, past, find) if run.since in days else []
        items += [_day(day, run, changes if day == run.since else [], find) for day in days]
        previous = run
    return History(account_id, items)


def why_document(account_id: str, explanation: Explanation, first: int, last: int, find: FindScorecard) -> Why:
    """An explanation from the end of day `first` to that of `last`."""
    return Why(
        account_id,
        _end(first, explanation.before, find),
        _end(last, explanation.after, find),
        explanation.change / BILLION,
        [_cause(effect) for effect in explanation.effects],
        _moves(explanation.measures),
    )


def _day(day: int, run: ScoreRun, effects: list[Effect], find: FindScorecard) -> HistoryDay:
    contributions = contributions_in_billionths(evaluation_of(run, find))
    return HistoryDay(
        from_day(day),
        run.score,
        _churn_probability(run, find),
        run.band,
        run.coverage,
        ScorecardName(run.scorecard, run.version),
        {name: part / BILLION for name, part in contributions.items()},
        show_override(run.override),
        [_cause(effect) for effect in effects],
    )


def _end(day: int, run: ScoreRun | None, find: FindScorecard) -> End:
    if run is None:
        return End(from_day(day), None, None, "unknown", None, None)
    return End(
        from_day(day),
        run.score,
        _churn_probability(run, find),
        run.band,
        ScorecardName(run.scorecard, run.version),
        show_override(run.override),
    )


def _churn_probability(run: ScoreRun, find: FindScorecard) -> float | None:
    card = find(run.scorecard, run.version)
    return churn_probability(card.document.calibration, run.score) if card is not None else None


def _cause(effect: Effect) -> CauseMove:
    return CauseMove(
        effect.cause,
        effect.delta / BILLION,
        _moves(effect.deltas),
        EventSummary(effect.events, [EventName(source, id_) for source, id_ in effect.ids]),
        list(effect.notes),
        from_micros(effect.at) if effect.at else None,
    )


def _moves(deltas: Mapping[str, int]) -> list[MeasureMove]:
    """The largest first."""
    ordered = sorted(deltas.items(), key=lambda item: (-abs(item[1]), item[0]))
    return [MeasureMove(name, delta / BILLION) for name, delta in ordered]

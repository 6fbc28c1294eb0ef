"""The measures that moved a score most, in points."""

from collections.abc import Mapping

from msgspec import Struct

from scoring.scorecards.scorecard import Evaluation, MeasureResult, Scorecard


class Driver(Struct, frozen=True):
    """A measure, and the points by which it moved the score."""

    measure: str
    delta: float


def drivers(before: Evaluation | None, after: Evaluation, most: int = 3) -> list[Driver]:
    """The measures that moved the score most between two evaluations, the largest move first.

    Without an earlier score they are the measures that keep the score furthest below 100. An unknown score has none.
    """
    if after.score is None:
        return []
    # An account may have been evaluated before it had a score: a measure that appears isn't a move.
    if before is None or before.score is None:
        return shortfalls(after.measures, after.card, most)
    return _largest(_moves(before.measures, after.measures), most)


def shortfalls(results: Mapping[str, MeasureResult], card: Scorecard, most: int = 3) -> list[Driver]:
    """The measures that keep a score furthest below 100; `results` belong to the measures of `card`."""
    parts = [(entry, part) for entry in card.measures if (part := results[entry.name].contribution) is not None]
    total = sum([entry.weight for entry, _ in parts])
    return _largest({entry.name: part - 100 * entry.weight / total for entry, part in parts}, most)


def _largest(deltas: Mapping[str, float], most: int) -> list[Driver]:
    moved = sorted([(-abs(delta), name) for name, delta in deltas.items() if delta])
    return [Driver(name, deltas[name]) for _, name in moved[:most]]


def _moves(before: Mapping[str, MeasureResult], after: Mapping[str, MeasureResult]) -> dict[str, float]:
    def points(results: Mapping[str, MeasureResult], name: str) -> float:
        return (results[name].contribution or 0.0) if name in results else 0.0

    return {name: points(after, name) - points(before, name) for name in {**before, **after}}

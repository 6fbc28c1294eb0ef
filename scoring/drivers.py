"""Which measures moved a score, in points."""

from collections.abc import Mapping

from msgspec import Struct

from scoring.scorecards import Evaluation, MeasureResult


class Driver(Struct, frozen=True):
    """A measure, and by how many points it moved the score."""

    measure: str
    delta: float


def drivers(before: Mapping[str, MeasureResult] | None, after: Evaluation, most: int = 3) -> list[Driver]:
    """The measures that moved the score most between two evaluations; the largest move comes first.

    Without an earlier evaluation they are the measures that keep the score furthest below 100.
    """
    deltas = _shortfalls(after) if before is None else _moves(before, after.measures)
    moved = sorted(((-abs(delta), name) for name, delta in deltas.items() if delta))
    return [Driver(name, deltas[name]) for _, name in moved[:most]]


def _moves(before: Mapping[str, MeasureResult], after: Mapping[str, MeasureResult]) -> dict[str, float]:
    def points(results: Mapping[str, MeasureResult], name: str) -> float:
        return (results[name].contribution or 0.0) if name in results else 0.0

    return {name: points(after, name) - points(before, name) for name in {**before, **after}}


def _shortfalls(after: Evaluation) -> dict[str, float]:
    results = after.measures
    weights = {
        entry.name: entry.weight for entry in after.card.measures if results[entry.name].contribution is not None
    }
    total = sum(weights.values())
    return {name: (results[name].contribution or 0.0) - 100 * weight / total for name, weight in weights.items()}

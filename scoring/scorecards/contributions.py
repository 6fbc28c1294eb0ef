"""Contributions as whole numbers, so that they sum exactly to the score, and their differences to its change."""

from collections.abc import Mapping

from scoring.scorecards.scorecard import DECIMALS, VETO, Evaluation

BILLION = 10**DECIMALS
"""The unit of scores and contributions is a billionth of a point, to which scores are rounded."""

Billionths = dict[str, int]
"""Billionths of a point per measure, and per veto that caps the score."""


def contributions_in_billionths(evaluation: Evaluation | None) -> Billionths:
    """The contribution of each measure. Sums exactly to the score; empty if there is none.

    Rounding can leave a few billionths over; they go to the largest contribution.
    """
    if evaluation is None or evaluation.score is None:
        return {}
    card = evaluation.card
    weighted: dict[str, float] = {}
    counted = 0.0
    for entry, value in zip(card.measures, evaluation.readings, strict=True):
        if (score := entry.score(value)) is not None:
            weighted[entry.name] = entry.weight * score
            counted += entry.weight
    parts = {name: round(share / counted * BILLION) for name, share in weighted.items()}
    whole, total = sum(parts.values()), round(evaluation.score * BILLION)
    if whole - total > len(parts):  # more than rounding: a veto
        parts.update(_veto(evaluation))
        whole = sum(parts.values())
    largest = max(parts, key=parts.__getitem__)
    parts[largest] += total - whole
    return parts


def _veto(evaluation: Evaluation) -> Billionths:
    return {
        name: round(result.contribution * BILLION)
        for name, result in evaluation.measures.items()
        if name.startswith(VETO) and result.contribution is not None
    }


def change(before: Mapping[str, int], after: Mapping[str, int]) -> Billionths:
    """The change of each measure, without unchanged ones. Sums exactly to the change of the score."""
    moved = {name: after.get(name, 0) - before.get(name, 0) for name in {**before, **after}}
    return {name: delta for name, delta in moved.items() if delta}


def add(total: Billionths, change: Mapping[str, int]) -> None:
    """Add a change to a total, in place."""
    for name, delta in change.items():
        if moved := total.get(name, 0) + delta:
            total[name] = moved
        else:
            del total[name]

"""The report of adapting a scorecard: what saturates, before and after, and advice on measures that say little."""

from collections import Counter
from collections.abc import Iterable, Sequence
from math import floor

from msgspec import Struct

from scoring.scorecards.document import Bands
from scoring.scorecards.measure import Value
from scoring.scorecards.saturation import Saturation, saturation
from scoring.scorecards.scorecard import Band, Evaluation, Scorecard, compile_scorecard, score
from scoring.whatif.adapt import LEAST_VALUES, MOST_VETOED, AdaptedMeasure, AdaptedScorecard, adapt

MOSTLY = 0.75
"""The share of accounts from which one end of a curve holds nearly all."""


class MeasureReport(Struct, frozen=True):
    """A measure's saturation by its own curve and by the new one, and what there is to say about it."""

    measure: str
    weight: float
    before: Saturation
    after: Saturation
    remark: str


class AdaptReport(Struct, frozen=True):
    """The report of an adapted scorecard over `accounts` accounts: each measure, and the accounts by band.

    `like_before` are the bands by which the draft would leave about as many accounts in each band as there are now.
    """

    accounts: int
    measures: list[MeasureReport]
    bands_before: dict[Band, int]
    bands_after: dict[Band, int]
    like_before: Bands


def adapt_and_report(card: Scorecard, accounts: Sequence[Sequence[Value]]) -> tuple[AdaptedScorecard, AdaptReport]:
    """Adapt a scorecard to its readings of accounts, and say what became of it."""
    adapted = adapt(card.document, accounts)
    new = compile_scorecard(adapted.document, card.version)
    saturated = zip(adapted.measures, saturation(card, accounts), saturation(new, accounts), strict=True)
    measures = [
        MeasureReport(each.after.title, each.after.weight, own, then, remark(each, then))
        for each, own, then in saturated
    ]
    before, after = ([score(list(readings), each, 0) for readings in accounts] for each in (card, new))
    like_before = bands_like(card.document.bands, _scores(before), _scores(after))
    return adapted, AdaptReport(len(accounts), measures, _bands(before), _bands(after), like_before)


def bands_like(bands: Bands, before: Sequence[float], after: Sequence[float]) -> Bands:
    """Whole limits by which about as many scores `after` are in each band as `before` are by `bands`.

    Without scores they are the same bands.
    """
    if not before or not after:
        return bands
    ordered = sorted(after)
    yellow, green = (
        floor(ordered[below]) if (below := round(len(after) * share)) < len(after) else floor(ordered[-1]) + 1
        for share in (sum([each < limit for each in before]) / len(before) for limit in (bands.yellow, bands.green))
    )
    yellow = min(max(yellow, 1), 99)
    return Bands(0, yellow, min(max(green, yellow + 1), 100))


def _scores(evaluations: Iterable[Evaluation]) -> list[float]:
    return [each.score for each in evaluations if each.score is not None]


def _bands(evaluations: Iterable[Evaluation]) -> dict[Band, int]:
    found: Counter[Band] = Counter(each.band for each in evaluations)
    return {band: found[band] for band in ("green", "yellow", "red", "unknown")}


def remark(adapted: AdaptedMeasure, after: Saturation) -> str:
    """A sentence on a measure whose curve stayed or says little; empty if it was adapted and says enough."""
    said = [_fate(adapted)]
    if adapted.fate in ("adapted", "veto_dropped") and max(after.full, after.none) > MOSTLY:
        said.append(_crowded(after))
    if adapted.fate != "veto_dropped" and adapted.vetoed > MOST_VETOED * adapted.values:
        said.append(f"Its veto caps {adapted.vetoed / adapted.values:.0%} of the accounts that have a value: check it.")
    return " ".join(filter(None, said))


def _fate(adapted: AdaptedMeasure) -> str:
    measure, values = adapted.before.measure, adapted.values
    match adapted.fate:
        case "adapted":
            return ""
        case "veto_dropped":
            return (
                f"Its veto is left out: it caps {adapted.vetoed / values:.0%} of the accounts that have a value, so it"
                " says more about the product than about who leaves. Put it back at a value that few reach."
            )
        case "too_few":
            none = "No account has" if values == 0 else f"Only {values} account{'s have' if values > 1 else ' has'}"
            return f"{none} a value, and {LEAST_VALUES} are needed: the curve stays. {_if_nobody(values)}".strip()
        case "all_equal":
            return (
                "Nearly all accounts have the same value, so it tells hardly any of them apart: the curve stays."
                " Give its weight to a measure that does, unless it is there for the rare exception."
            )
        case "veto_only" if adapted.before.veto is None:
            return "It has neither weight nor veto, so it moves no score: the curve stays."
        case "veto_only":
            return "It has no weight, only a veto, whose level is yours to choose: the curve stays."
        case "date":
            return "It reads dates or amounts that mean the same in any portfolio: the curve stays."
        case "contrary":
            return (
                f"The curve doesn't go the way in which {measure} is better by the catalogue: it stays. Check that you"
                " meant it."
            )
        case "veto_unclear":
            return "The veto's limit isn't between two points of the curve, so it always or never applies: it stays."


def _if_nobody(values: int) -> str:
    return "Leave the measure out if that won't change." if values == 0 else ""


def _crowded(after: Saturation) -> str:
    share, end = max((after.full, "full points"), (after.none, "no points"))
    return f"{share:.0%} of accounts have {end}, so it tells few of them apart: try another window, or less weight."

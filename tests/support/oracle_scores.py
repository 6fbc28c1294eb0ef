"""The design's scores, computed from measures as slowly and plainly as `oracle` computes those."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from scoring.state.events import Event
from tests.support.oracle import Document, Question, Value, measure, number, tenure_days


@dataclass(frozen=True)
class Verdict:
    """A score with all its parts, by entry name; a veto has a contribution of its own."""

    score: Fraction | None
    band: str
    coverage: Fraction
    values: dict[str, Value]
    scores: dict[str, Fraction | None]
    contributions: dict[str, Fraction]


def through(curve: Sequence[Sequence[float]], value: Fraction) -> Fraction:
    """The value of a piecewise linear curve, flat beyond its ends."""
    points = [(number(x), number(y)) for x, y in curve]
    if value <= points[0][0]:
        return points[0][1]
    for (x, y), (next_x, next_y) in pairwise(points):
        if value <= next_x:
            return y + (next_y - y) * (value - x) / (next_x - x)
    return points[-1][1]


def evaluate(document: Document, events: Sequence[Event], day: int, retention: int) -> Verdict:
    """The verdict of a scorecard document on an account at `day`."""
    entries = {entry.get("name", entry["measure"]): entry for entry in document["measures"]}
    weights = {name: number(entry["weight"]) for name, entry in entries.items()}
    values = {name: measure(entry, events, day, retention) for name, entry in entries.items()}
    scores = {name: _score(entry, values[name]) for name, entry in entries.items()}
    known = [name for name, value in values.items() if not isinstance(value, str)]
    coverage = sum((weights[name] for name in known), Fraction(0)) / sum(weights.values())
    counting = {name: score for name, score in scores.items() if score is not None}
    total = sum((weights[name] for name in counting), Fraction(0))
    if coverage < number(document.get("min_coverage", 0.5)) or total == 0:
        return Verdict(None, "unknown", coverage, values, scores, {})
    contributions = {name: weights[name] * score / total for name, score in counting.items()}
    score = sum(contributions.values(), Fraction(0))
    vetoes = [(number(entries[name]["veto"]["cap"]), name) for name in known if _vetoes(entries[name], scores[name])]
    if vetoes and score > min(vetoes)[0]:
        # The lowest cap holds; of equal ones the first on the scorecard gives its name.
        cap, name = min(vetoes, key=lambda veto: veto[0])
        contributions[f"veto:{name}"] = cap - score
        score = cap
    return Verdict(score, _band(document, score), coverage, values, scores, contributions)


def _score(entry: Document, value: Value) -> Fraction | None:
    if isinstance(value, str):
        policy = entry.get("missing", "exclude")
        if isinstance(policy, Mapping):
            return number(policy["score"])
        return {"exclude": None, "neutral": Fraction(50), "worst": Fraction(0)}[policy]
    return through(entry["curve"], value)


def _vetoes(entry: Document, score: Fraction | None) -> bool:
    return "veto" in entry and score is not None and score < number(entry["veto"]["below"])


def _band(document: Document, score: Fraction) -> str:
    bands: dict[str, float] = {"red": 0, "yellow": 40, "green": 70, **document.get("bands", {})}
    return max((number(lowest), band) for band, lowest in bands.items() if score >= number(lowest))[1]


def choose(documents: Sequence[Document], events: Sequence[Event], day: int, retention: int) -> str:
    """The name of the scorecard for an account: of those that apply the lowest rank (then the first name) wins."""
    asked = Question(events, day, retention, {})
    ranked = [
        (document["applies_to"].get("rank", 0), document["name"])
        for document in documents
        if "applies_to" in document and _applies(document["applies_to"], asked)
    ]
    return str(min(ranked)[1]) if ranked else "default"


def _applies(applies_to: Document, asked: Question) -> bool:
    if "segments" in applies_to and asked.attribute("segment") not in applies_to["segments"]:
        return False
    if "stages" in applies_to and asked.attribute("stage") not in applies_to["stages"]:
        return False
    if "tenure_days" not in applies_to:
        return True
    tenure = tenure_days(asked)
    first, last = applies_to["tenure_days"]
    return not isinstance(tenure, str) and first <= tenure <= last

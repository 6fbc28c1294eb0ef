"""Scorecards as documents: their schema, and every check before one is published."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field
from msgspec.structs import replace

from scoring.scorecards import calibration
from scoring.scorecards.calibration import ScorecardCalibration
from scoring.scorecards.catalogue import CATALOGUE
from scoring.scorecards.measure import Definition
from scoring.scorecards.validation_errors import fault_of

DEFAULT = "default"
PRIORITIES = ("low", "normal", "high", "urgent")

# `$` alone would let a line break at the end pass.
DocumentName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_-]{0,62}$(?!\n)")]
Score = Annotated[float, Meta(ge=0, le=100)]
Measured = Annotated[float, Meta(ge=-1e15, le=1e15)]
# No database takes a NUL in text.
NonEmptyText = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]


class ScorecardProblem(Struct, frozen=True):
    """One fault: the path of the field, and the values allowed there."""

    field: str
    message: str


class InvalidDocumentError(ValueError):
    """Raised for a document that can't be used; `problems` lists at least one reason."""

    def __init__(self, problems: list[ScorecardProblem]) -> None:
        super().__init__("; ".join(f"{problem.field}: {problem.message}" for problem in problems))
        self.problems = problems


class AppliesTo(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The accounts that a scorecard is for; the lowest `rank` that matches wins. Ranges include both ends."""

    segments: list[NonEmptyText] | None = None
    stages: list[NonEmptyText] | None = None
    tenure_days: tuple[int, int] | None = None
    rank: int = 0

    @property
    def is_for_all(self) -> bool:
        """True if nothing narrows it down."""
        return self.segments is None and self.stages is None and self.tenure_days is None


class Veto(Struct, frozen=True, forbid_unknown_fields=True):
    """Below a measure's score of `below`, the whole score is at most `cap`."""

    below: Score
    cap: Score


class MissingScore(Struct, frozen=True, forbid_unknown_fields=True):
    """A measure that has no value scores as much."""

    score: Score


class MeasureDocument(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A measure with its weight, curve and options on the scorecard."""

    measure: str
    weight: Annotated[float, Meta(ge=0, le=1_000_000)]
    curve: Annotated[list[tuple[Measured, Score]], Meta(min_length=1, max_length=100)]
    name: DocumentName | None = None
    window: Annotated[int, Meta(ge=1)] | None = None
    features: Annotated[list[NonEmptyText], Meta(min_length=1, max_length=200)] | None = None
    priorities: Annotated[list[Literal["low", "normal", "high", "urgent"]], Meta(min_length=1)] | None = None
    min_n: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    missing: Literal["exclude", "neutral", "worst"] | MissingScore = "exclude"
    veto: Veto | None = None

    @property
    def title(self) -> str:
        """The measure's name on this scorecard."""
        return self.name or self.measure


class Bands(Struct, frozen=True, forbid_unknown_fields=True):
    """The lowest score of each band."""

    red: Score = 0
    yellow: Score = 40
    green: Score = 70


class ScorecardDocument(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A scorecard as people write it."""

    name: DocumentName
    measures: Annotated[list[MeasureDocument], Meta(min_length=1, max_length=100)]
    bands: Bands = field(default_factory=Bands)
    min_coverage: Annotated[float, Meta(ge=0, le=1)] = 0.5
    applies_to: AppliesTo | None = None
    calibration: ScorecardCalibration | None = None

    def scores_like(self, other: "ScorecardDocument") -> bool:
        """True if one of the two is calibrated, and all else is equal: they give the same accounts the same scores."""
        if self.calibration is None and other.calibration is None:
            return False
        return replace(self, calibration=None) == replace(other, calibration=None)


def parse(document: Any, retention: int) -> ScorecardDocument:
    """Read a document (parsed from YAML or JSON) and check all of it.

    Raises `InvalidDocumentError` naming every field at fault and the values allowed there.
    """
    try:
        parsed = msgspec.convert(document, ScorecardDocument)
    except msgspec.ValidationError as error:
        raise InvalidDocumentError([ScorecardProblem(*fault_of(error, "document", ScorecardDocument))]) from None
    problems = list(_check(parsed, retention))
    if problems:
        raise InvalidDocumentError(problems)
    return parsed


def _check(document: ScorecardDocument, retention: int) -> Iterator[ScorecardProblem]:
    bands = document.bands
    if not bands.red == 0 < bands.yellow < bands.green:
        yield ScorecardProblem("bands", "must rise: red is 0, then yellow, then green")
    yield from _check_audience(document)
    if not any(measure.weight for measure in document.measures):
        yield ScorecardProblem("measures", "at least one weight must be above 0")
    seen: set[str] = set()
    for index, measure in enumerate(document.measures):
        at = f"measures[{index}]"
        if measure.title in seen:
            yield ScorecardProblem(f"{at}.name", f"{measure.title} is taken; give this one a name of its own")
        seen.add(measure.title)
        yield from _check_measure(measure, at, retention)
    if document.calibration is not None:
        for name, message in calibration.faults(document.calibration):
            yield ScorecardProblem(f"calibration.{name}", message)


def _check_audience(document: ScorecardDocument) -> Iterator[ScorecardProblem]:
    applies_to = document.applies_to
    if document.name == DEFAULT:
        if applies_to is not None:
            yield ScorecardProblem("applies_to", "the scorecard named default applies to all the rest; leave it out")
    elif applies_to is None:
        yield ScorecardProblem(
            "applies_to", "say which accounts it is for; only the scorecard named default may omit it"
        )
    elif applies_to.is_for_all:
        yield ScorecardProblem(
            "applies_to",
            "overlapping defaults: this is for every account, and only the scorecard named default applies to all; "
            "give segments, stages or tenure_days",
        )
    if applies_to and (tenure := applies_to.tenure_days) and tenure[0] > tenure[1]:
        yield ScorecardProblem("applies_to.tenure_days", "must be [from, to] with from not after to")


def _check_measure(measure: MeasureDocument, at: str, retention: int) -> Iterator[ScorecardProblem]:
    values = [value for value, _ in measure.curve]
    if any(later <= earlier for earlier, later in pairwise(values)):
        yield ScorecardProblem(f"{at}.curve", "values must rise from point to point")
    if (definition := CATALOGUE.get(measure.measure)) is None:
        yield ScorecardProblem(
            f"{at}.measure", f"{measure.measure!r} is not a measure; take one of {', '.join(CATALOGUE)}"
        )
        return
    if definition.windows:
        longest = retention // definition.windows
        if measure.window is None:
            yield ScorecardProblem(f"{at}.window", f"{measure.measure} needs a window of 1 to {longest} days")
        elif measure.window > longest:
            yield ScorecardProblem(f"{at}.window", f"must be 1 to {longest} days: events are kept for {retention} days")
    elif measure.window is not None:
        yield ScorecardProblem(f"{at}.window", f"{measure.measure} takes no window; leave it out")
    yield from _check_choices(measure, definition, at)


def _check_choices(measure: MeasureDocument, definition: Definition, at: str) -> Iterator[ScorecardProblem]:
    if measure.min_n is not None and not definition.least_n:
        yield ScorecardProblem(f"{at}.min_n", f"{measure.measure} takes no min_n; leave it out")
    elif measure.min_n is not None and measure.min_n < definition.least_n:
        yield ScorecardProblem(f"{at}.min_n", f"must be at least {definition.least_n} for {measure.measure}")
    if measure.features is not None and not definition.takes_features:
        yield ScorecardProblem(f"{at}.features", f"{measure.measure} takes no features; leave them out")
    if measure.priorities is not None and not definition.takes_priorities:
        yield ScorecardProblem(f"{at}.priorities", f"{measure.measure} takes no priorities; leave them out")

"""Differences between two versions of a scorecard, field by field, in the words of the document."""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from scoring.scorecards.calibration import ScorecardCalibration
from scoring.scorecards.document import AppliesTo, Bands, MeasureDocument, ScorecardDocument


class Difference(Struct, frozen=True):
    """A field with its values before and after, as in the document; null where it is absent.

    A measure's fields are named by its title: `measures.nps.weight`.
    """

    field: str
    before: Any
    after: Any


def differences(before: ScorecardDocument | None, after: ScorecardDocument) -> list[Difference]:
    """The differences in the document's order; all of `after` if `before` is None. Empty if they are equal."""
    return list(_differences(before, after))


def in_words(difference: Difference) -> str:
    """A difference as one line: `measures.nps.weight: 10 -> 15`."""
    if difference.before is None:
        return f"{difference.field}: {plain(difference.after)}"
    if difference.after is None:
        return f"{difference.field}: {plain(difference.before)}"
    return f"{difference.field}: {plain(difference.before)} -> {plain(difference.after)}"


def plain(value: Any) -> str:
    """A value as people write it in YAML: on one line, and whole numbers without a decimal point."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {plain(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(plain, value)) + "]"
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _differences(before: ScorecardDocument | None, after: ScorecardDocument) -> Iterator[Difference]:
    yield from _fields("", before, after, ("name",))
    yield from _fields("applies_to.", before and before.applies_to, after.applies_to, AppliesTo.__struct_fields__)
    yield from _fields("", before, after, ("min_coverage",))
    yield from _fields("bands.", before and before.bands, after.bands, Bands.__struct_fields__)
    yield from _measures(_by_title(before), _by_title(after))
    calibrated = ScorecardCalibration.__struct_fields__
    yield from _fields("calibration.", before and before.calibration, after.calibration, calibrated)


def _by_title(document: ScorecardDocument | None) -> dict[str, MeasureDocument]:
    return {measure.title: measure for measure in document.measures} if document else {}


def _measures(before: dict[str, MeasureDocument], after: dict[str, MeasureDocument]) -> Iterator[Difference]:
    for title, measure in after.items():
        at = f"measures.{title}"
        if title in before:
            yield from _fields(f"{at}.", before[title], measure, MeasureDocument.__struct_fields__)
        else:
            yield Difference(at, None, msgspec.to_builtins(measure))
    for title, measure in before.items():
        if title not in after:
            yield Difference(f"measures.{title}", msgspec.to_builtins(measure), None)
    was, now = [title for title in before if title in after], [title for title in after if title in before]
    if was != now:
        yield Difference("measures", was, now)


def _fields(at: str, before: Struct | None, after: Struct | None, names: tuple[str, ...]) -> Iterator[Difference]:
    for name in names:
        was, now = getattr(before, name, None), getattr(after, name, None)
        if was != now:
            yield Difference(f"{at}{name}", msgspec.to_builtins(was), msgspec.to_builtins(now))

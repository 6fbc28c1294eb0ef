"""Candidates: the measures that a calibration may choose from, as the catalogue, windows and features give them."""

import re
from collections.abc import Collection, Mapping, Sequence
from hashlib import blake2b
from itertools import product
from typing import Literal

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from scoring.scorecards.catalogue import CATALOGUE
from scoring.scorecards.document import MeasureDocument
from scoring.scorecards.measure import Measure, Missing, Parameters
from scoring.state.account_state import AccountState

KNOW_THE_OUTCOME = frozenset({"churned_on", "stage", "renews_on"})
"""Attributes that people write because an account leaves or stays: a fit to them proves nothing."""
WINDOWS = (7, 14, 28, 56, 84)
MOST_FEATURES = 20
VOLUME = "usage_volume"
PER_FEATURE = (VOLUME, "usage_trend")
"""Measures that are tried for single features."""
TROUBLE: tuple[Literal["high", "urgent"], ...] = ("high", "urgent")
"""Priorities that are tried beside all of them."""
NAME_LENGTH = 50
"""Of names, so that a window and a number fit behind them."""
LONGEST_FEATURE = 200
"""Of those that a scorecard can name."""


class Candidate(Struct, frozen=True, omit_defaults=True):
    """A measure with its parameters, as an entry of a scorecard has them."""

    measure: str
    window: int | None = None
    feature: str | None = None
    priorities: tuple[Literal["high", "urgent"], ...] | None = None

    @property
    def name(self) -> str:
        """A name that a document takes; those of two candidates may be equal if their features' names are alike."""
        words = [self.measure, self.feature or "", "_".join(self.priorities or ())]
        text = re.sub(r"[^a-z0-9]+", "_", "_".join(filter(None, words)).lower()).strip("_")[:NAME_LENGTH]
        return f"{text}_{self.window}" if self.window else text

    @property
    def directions(self) -> tuple[bool, ...]:
        """True for curves that rise with the value, False for falling ones: the catalogue's.

        Both for a feature's volume, as some features are used by those who are unhappy.
        """
        both = self.feature is not None and self.measure == VOLUME
        return (True, False) if both else (CATALOGUE[self.measure].better == "high",)

    def reader(self) -> Measure:
        """The function that reads it from a state."""
        features = frozenset({self.feature}) if self.feature else None
        priorities: frozenset[str] | None = frozenset(self.priorities) if self.priorities else None
        definition = CATALOGUE[self.measure]
        return definition.build(Parameters(self.window or 1, features, priorities, definition.least_n or 1))

    def entry(
        self, name: str, weight: float, curve: list[tuple[float, float]], missing: Literal["neutral", "worst"]
    ) -> MeasureDocument:
        """Its entry on a scorecard."""
        return MeasureDocument(
            self.measure,
            weight,
            curve,
            name,
            self.window,
            [self.feature] if self.feature else None,
            list(self.priorities) if self.priorities else None,
            missing=missing,
        )


class CandidatesError(ValueError):
    """A choice of candidates that can't be used, with what to do."""


def candidates(
    frequencies: Mapping[str, int],
    retention: int,
    *,
    without: Collection[str] = (),
    windows: Sequence[int] = WINDOWS,
    most_features: int = MOST_FEATURES,
) -> list[Candidate]:
    """The catalogue with each window, and some measures for each of the most frequent features.

    `frequencies` say how often each feature occurs; `most_features` 0 tries none by itself. Measures `without` are left
    out, by their names in the catalogue or those of candidates, and so is each that reads an attribute which knows the
    outcome. Raises `CandidatesError` if `without` names no measure, or leaves none.
    """
    nameable = [feature for feature in frequencies if 0 < len(feature) <= LONGEST_FEATURE and "\x00" not in feature]
    frequent = sorted(nameable, key=lambda feature: (-frequencies[feature], feature))[:most_features]
    every = _every(frequent, retention, windows)
    if unknown := sorted(set(without) - set(CATALOGUE) - {each.name for each in every}):
        raise CandidatesError(
            f"{unknown[0]!r} is not a measure, so it can't be left out. Take some of {_listed()}; or the name of a "
            "single one, as drafts have it, such as usage_volume_28"
        )
    found = [each for each in every if each.measure not in without and each.name not in without]
    if not found:
        raise CandidatesError("No measure is left to choose from. Leave out fewer")
    return found


def _every(frequent: Sequence[str], retention: int, windows: Sequence[int]) -> list[Candidate]:
    found = []
    for measure, definition in CATALOGUE.items():
        if definition.attributes & KNOW_THE_OUTCOME:
            continue
        longest = retention // definition.windows if definition.windows else 0
        spans = [window for window in windows if window <= longest] if definition.windows else [None]
        features = [None, *frequent] if measure in PER_FEATURE else [None]
        priorities = [None, TROUBLE] if definition.takes_priorities else [None]
        found += [Candidate(measure, *each) for each in product(spans, features, priorities)]
    return found


def usable(wanted: Sequence[Candidate]) -> list[Candidate]:
    """The candidates as they are; raises `CandidatesError` if one knows the outcome, or isn't in the catalogue."""
    for candidate in wanted:
        if (definition := CATALOGUE.get(candidate.measure)) is None:
            raise CandidatesError(f"{candidate.measure!r} is not a measure. Take some of {_listed()}")
        if known := sorted(definition.attributes & KNOW_THE_OUTCOME):
            raise CandidatesError(
                f"{candidate.measure} reads {known[0]}, which is written because an account leaves or stays: "
                "it knows the outcome. Leave it out"
            )
    return list(wanted)


def _listed() -> str:
    return ", ".join(CATALOGUE)


def read(readers: Sequence[Measure], state: AccountState, day: int) -> list[float]:
    """The values of the candidates' readers at a day; NaN where one is missing."""
    return [np.nan if isinstance(value := reader(state, day), Missing) else value for reader in readers]


def distinct(values: NDArray[np.floating]) -> list[int]:
    """The columns that differ from all before them and aren't constant; two missing values are equal."""
    seen: set[bytes] = set()
    kept = []
    for column, each in enumerate(values.T):
        known = each[~np.isnan(each)]
        if not len(known) or known.min() == known.max():
            continue
        alike = np.where(np.isnan(each), np.nan, each + 0.0)  # one NaN, and no negative zero
        fingerprint = blake2b(alike.tobytes()).digest()  # the columns themselves may be large
        if fingerprint not in seen:
            seen.add(fingerprint)
            kept.append(column)
    return kept

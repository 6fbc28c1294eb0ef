"""The scorecards and rules that are in force."""

from collections.abc import Mapping

from msgspec import Struct, field

from scoring.rules.conditions import DropRule, Rule
from scoring.scorecards.calibration import churn_probability
from scoring.scorecards.scorecard import Scorecard
from scoring.state.account_state import RETENTION_DAYS


class Policy(Struct, frozen=True):
    """The scorecards in order, the rules in force, and the number of days for which events are retained.

    `published` has every scorecard that was ever in force, by name and version; `retired` the rules that no longer are,
    by id. `silent_sources` are silent at the moment. While `digest` is set, alerts caused by a new scorecard are summed
    up in it; while `rule_digest` is, those caused by a change of the rules in `changed`, by id.
    """

    scorecards: tuple[Scorecard, ...]
    rules: tuple[Rule, ...] = ()
    retention: int = RETENTION_DAYS
    published: Mapping[tuple[str, int], Scorecard] = field(default_factory=dict)
    retired: Mapping[str, Rule] = field(default_factory=dict)
    silent_sources: frozenset[str] = frozenset()
    digest: str | None = None
    rule_digest: str | None = None
    changed: frozenset[str] = frozenset()

    def scorecard(self, name: str | None, version: int | None) -> Scorecard | None:
        """Exactly this version, if it is in force."""
        for card in self.scorecards:
            if card.name == name and card.version == version:
                return card
        return None

    def successor(self, name: str | None, version: int | None) -> Scorecard | None:
        """The version in force that scores like this one: this very version, or one with another calibration; None if
        there is none.
        """
        if (card := self.scorecard(name, version)) is not None:
            return card
        former = self.find(name, version)
        if former is None:
            return None
        newest = next((card for card in self.scorecards if card.name == name), None)
        return newest if newest is not None and newest.scores_like(former) else None

    def churn_probability(self, name: str | None, version: int | None, score: float | None) -> float | None:
        """The probability of churn at a score that this version gave, by the calibration that is in force for it."""
        card = self.successor(name, version) or self.find(name, version)
        return churn_probability(card.document.calibration, score) if card is not None else None

    def find(self, name: str | None, version: int | None) -> Scorecard | None:
        """Exactly this version, if it was ever in force."""
        if name is None or version is None:
            return None
        return self.scorecard(name, version) or self.published.get((name, version))

    @property
    def drops(self) -> list[Rule]:
        """The rules that compare with earlier days."""
        return [rule for rule in self.rules if isinstance(rule.condition, DropRule)]

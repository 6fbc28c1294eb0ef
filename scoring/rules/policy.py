"""By what accounts are judged."""

from collections.abc import Mapping

from msgspec import Struct, field

from scoring.rules.rules import DropRule, Rule
from scoring.scorecards.scorecard import Scorecard
from scoring.state.account_state import RETENTION_DAYS


class Policy(Struct, frozen=True):
    """The scorecards in order, the rules in force, and how many days events are kept.

    `published` has every scorecard that was ever in force, by name and version; `retired` the rules that no longer are,
    by id. `quiet_sources` send nothing at the moment. While `digest` is set, what a new scorecard sets off is summed up
    there; while `rule_digest` is, what the change of a rule does, of one of those in `changed`, by id.
    """

    scorecards: tuple[Scorecard, ...]
    rules: tuple[Rule, ...] = ()
    retention: int = RETENTION_DAYS
    published: Mapping[tuple[str, int], Scorecard] = field(default_factory=dict)
    retired: Mapping[str, Rule] = field(default_factory=dict)
    quiet_sources: frozenset[str] = frozenset()
    digest: str | None = None
    rule_digest: str | None = None
    changed: frozenset[str] = frozenset()

    def scorecard(self, name: str | None, version: int | None) -> Scorecard | None:
        """That very version, if it is in force."""
        for card in self.scorecards:
            if card.name == name and card.version == version:
                return card
        return None

    def find(self, name: str | None, version: int | None) -> Scorecard | None:
        """That very version, if it ever was in force."""
        if name is None or version is None:
            return None
        return self.scorecard(name, version) or self.published.get((name, version))

    @property
    def drops(self) -> list[Rule]:
        """The rules that look back at days gone by."""
        return [rule for rule in self.rules if isinstance(rule.condition, DropRule)]

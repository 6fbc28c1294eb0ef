"""The policies that a back-test compares: scorecards in force or shipped, and each draft for all accounts."""

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from scoring.rules.conditions import Rule
from scoring.rules.policy import Policy
from scoring.scorecards.document import DEFAULT, ScorecardDocument, parse
from scoring.scorecards.scorecard import compile_scorecard
from service.evaluation.policy import starter
from service.runtime.errors import HealthError

IN_FORCE = "in force"


def compared_policies(
    in_force: Policy | None,
    drafts: Iterable[tuple[str, ScorecardDocument]],
    rules: Sequence[Rule] | None,
    retention: int,
) -> dict[str, Policy]:
    """Policies by name: first the one in force, or the default scorecard that ships with the service; then the drafts.

    A draft is judged for all accounts, whatever its `applies_to` says, so that all judge the same decisions. `rules`
    watch the first policy, in place of its own. Raises `HealthError` if two drafts have the same name.
    """
    if in_force is not None:
        policies = {IN_FORCE: in_force}
    else:
        policies = {DEFAULT: _policy(parse(starter(DEFAULT), retention), retention)}
    first = next(iter(policies))
    for name, document in drafts:
        if name in policies:
            raise HealthError(f"The scorecard {name} is given twice", "Give it once")
        policies[name] = _policy(replace(document, name=DEFAULT, applies_to=None), retention)
    if rules is not None:
        policies[first] = replace(policies[first], rules=tuple(rules))
    return policies


def _policy(document: ScorecardDocument, retention: int) -> Policy:
    return Policy((compile_scorecard(document, 1),), retention=retention)

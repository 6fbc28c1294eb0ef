"""The scorecards that a calibrated one is compared with, and would replace one of."""

from scoring.rules.policy import Policy
from scoring.scorecards.document import DEFAULT, ScorecardDocument, parse
from scoring.scorecards.scorecard import compile_scorecard
from scoring.scorecards.selection import in_order
from service.evaluation.policy import starter
from service.evaluation.scorecards import starter_names
from service.runtime.errors import HealthError


def replaced_policy(in_force: Policy | None, document: ScorecardDocument | None, name: str, retention: int) -> Policy:
    """The policy in force; without one, the scorecard in `document`, or else the starter `name`, beside the default.

    The scorecard `name` is in it, whose audience the draft gets. Raises `HealthError` if there is none.
    """
    if in_force is not None:
        if name not in (names := [card.name for card in in_force.scorecards]):
            raise HealthError(
                f"--name {name}: no scorecard of this name is published", f"Give one of {', '.join(names)}"
            )
        return in_force
    if document is None and name not in starter_names():
        raise HealthError(
            f"--name {name}: no scorecard of this name ships with the service",
            "Give the one in force with --scorecard FILE, or --in-force: its applies_to says whom the draft is for",
        )
    own = parse(starter(name), retention) if document is None else document
    if own.name != name:
        raise HealthError(
            f"--scorecard is named {own.name}, and the draft {name}", f"Give --name {own.name}, or another --scorecard"
        )
    documents = {DEFAULT: parse(starter(DEFAULT), retention), name: own}
    return Policy(in_order(compile_scorecard(each, 1) for each in documents.values()), retention=retention)

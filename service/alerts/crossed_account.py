"""An account that crossed a threshold or changed its scorecard."""

from dataclasses import dataclass

from scoring.advance import AccountStep
from scoring.history.score_run import ScoreRun


@dataclass(slots=True)
class CrossedAccount:
    """An account that crossed a threshold or changed its scorecard: as it was, its name, and the step.

    `about` holds the attributes that endpoints filter by besides the band: its segment, stage and owner.
    """

    account_id: str
    sequence: int
    before: ScoreRun | None
    name: object
    step: AccountStep
    about: tuple[object, object, object] = (None, None, None)

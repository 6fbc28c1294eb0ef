"""The default scorecard, for contenders that share the service's code, and for the expected scores."""

from importlib import resources

import yaml

from scoring.scorecards.document import parse
from scoring.scorecards.scorecard import Scorecard, compile_scorecard
from scoring.state.account_state import RETENTION_DAYS


def default_scorecard() -> Scorecard:
    """The scorecard that ships with the service."""
    text = resources.files("scoring").joinpath("starters", "default.yaml").read_text()
    return compile_scorecard(parse(yaml.safe_load(text), RETENTION_DAYS), 1)

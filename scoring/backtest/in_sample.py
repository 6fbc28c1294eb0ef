"""The warning that a scorecard is judged by outcomes that it was fitted to: it looks better there than it is."""

from collections.abc import Iterable
from datetime import date

from scoring.scorecards.document import ScorecardDocument


def in_sample_warning(
    documents: Iterable[ScorecardDocument], first_day: date, last_day: date, subject: str = "It"
) -> str | None:
    """A sentence if one of the scorecards was calibrated on outcomes of the days from `first_day` to `last_day`."""
    known = [document.calibration for document in documents if document.calibration is not None]
    shared = [each for each in known if each.first_day <= last_day and first_day <= each.last_day]
    if not shared:
        return None
    first, last = min(each.first_day for each in shared), max(each.last_day for each in shared)
    return (
        f"{subject} was fitted to outcomes from {first} to {last}, and some of these may be among them, so it looks "
        "better here than it is: the report of its calibration has the proof"
    )

"""The answer of a preview: the effect of publishing a draft, and on how many of all accounts. Pure."""

from msgspec import Struct

from scoring.whatif.preview import PolicyDraft
from scoring.whatif.preview_summary import PreviewScoreChange, PreviewShift, PreviewSummary, RuleAlerts
from service.api.http.problems import FieldError


class Preview(Struct, frozen=True):
    """The effect of publishing a draft of scorecard `name`, in place of `from_version` if there is one.

    Of all `accounts`, so many were `judged`: all counts are of these. The draft would score those `covered`. `bands`
    counts every account by its band before and after, `scorecards` those whose scorecard would change. `rules` gives
    the alerts of each rule that would fire, and those that would be resolved. `recalibrates` is true if the draft has
    another calibration: it moves no score, but the probability of churn at each.
    """

    name: str
    from_version: int | None
    accounts: int
    judged: int
    covered: int
    bands: list[PreviewShift]
    scorecards: list[PreviewShift]
    score: PreviewScoreChange
    recalibrates: bool
    rules: list[RuleAlerts]
    warnings: list[FieldError]


def document(draft: PolicyDraft, accounts: int, summary: PreviewSummary, warnings: list[FieldError]) -> Preview:
    """The answer."""
    return Preview(
        name=draft.card.name,
        from_version=draft.replaces.version if draft.replaces else None,
        accounts=accounts,
        judged=summary.judged,
        covered=summary.covered,
        bands=summary.bands,
        scorecards=summary.scorecards,
        score=summary.score,
        recalibrates=draft.recalibrates,
        rules=summary.rules,
        warnings=warnings,
    )

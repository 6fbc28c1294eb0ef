"""What a preview answers: what publishing a draft would do, and to how many of all accounts. Pure."""

from msgspec import Struct

from scoring.whatif.preview import PolicyDraft
from scoring.whatif.preview_summary import PreviewScoreChange, PreviewShift, PreviewSummary, RuleAlerts
from service.api.http.problems import FieldError


class Preview(Struct, frozen=True):
    """What publishing a draft of scorecard `name` would do, in place of `from_version` if there is one.

    Of all `accounts`, so many were `judged`: all counts are of these. The draft would judge those `covered`. `bands`
    counts every account by its band before and after, `scorecards` those that another scorecard would judge than now.
    `rules` says how many alerts of each would fire, and how many would be resolved.
    """

    name: str
    from_version: int | None
    accounts: int
    judged: int
    covered: int
    bands: list[PreviewShift]
    scorecards: list[PreviewShift]
    score: PreviewScoreChange
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
        rules=summary.rules,
        warnings=warnings,
    )

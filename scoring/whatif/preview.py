"""Previews the effect of publishing a draft on one account: the evaluation now, and with the draft."""

from msgspec import Struct
from msgspec.structs import replace

from scoring.advance import advance
from scoring.history.score_run import ScoreRun
from scoring.rules.crossings import Crossing, Memories
from scoring.rules.policy import Policy
from scoring.scorecards.document import ScorecardDocument
from scoring.scorecards.scorecard import Evaluation, Scorecard, compile_scorecard
from scoring.scorecards.selection import in_order
from scoring.state.account_state import AccountState


class PreviewedAccount(Struct, frozen=True):
    """A stored account. `source` sent its newest usage."""

    account_id: str
    state: AccountState
    score_run: ScoreRun | None
    memory: Memories
    source: str | None = None


class PreviewChange(Struct, frozen=True):
    """An account under the present scorecards and with the draft, and the crossings that the draft would cause."""

    account_id: str
    name: str | None
    before: Evaluation
    after: Evaluation
    crossings: list[Crossing]


class PolicyDraft(Struct, frozen=True):
    """The current policy, and the same with a document published, in place of the version `replaces` if there is
    one.
    """

    card: Scorecard
    present: Policy
    published: Policy
    replaces: Scorecard | None

    @property
    def recalibrates(self) -> bool:
        """True if the document's calibration differs from that of the version that it replaces."""
        before = self.replaces.document.calibration if self.replaces else None
        return self.card.document.calibration != before


def draft(document: ScorecardDocument, policy: Policy) -> PolicyDraft:
    """Make a checked document the next version of its name, in place of or beside those in force."""
    replaces = next((card for card in policy.scorecards if card.name == document.name), None)
    card = compile_scorecard(document, replaces.version + 1 if replaces else 1)
    others = [other for other in policy.scorecards if other is not replaces]
    return PolicyDraft(card, policy, replace(policy, scorecards=in_order([*others, card])), replaces)


def preview(account: PreviewedAccount, draft: PolicyDraft, now: int) -> PreviewChange:
    """The change that publishing the draft at `now` (microseconds) would make; the account stays as it is.

    Time alone may have changed the account since it was last evaluated: it is brought up to `now` by the present
    scorecards first, so that all later changes are the draft's.
    """
    before = advance(account.state, account.score_run, account.memory, (), draft.present, now, source=account.source)
    after = advance(account.state, before.score_run, before.memory, (), draft.published, now, source=account.source)
    name = account.state.attributes.value("name")
    return PreviewChange(
        account.account_id,
        name if isinstance(name, str) else None,
        before.evaluation,
        after.evaluation,
        after.crossings,
    )

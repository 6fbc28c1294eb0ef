"""Previews predict exactly the result of publishing."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from scoring.advance import advance
from scoring.history.day_by_day import evaluate_now
from scoring.rules.conditions import BandRule, DropRule, Rule, ScoreRule, SilenceRule
from scoring.rules.policy import Policy
from scoring.scorecards.document import parse
from scoring.scorecards.scorecard import compile_scorecard
from scoring.scorecards.selection import in_order
from scoring.state.calendar import start_of
from scoring.whatif.preview import PolicyDraft, PreviewChange, PreviewedAccount, draft, preview
from scoring.whatif.preview_summary import PreviewSummary, PreviewTotals
from tests.support.folding import encoded, folded
from tests.support.oracle import Document
from tests.support.strategies import days_after, histories
from tests.support.strategies_scorecards import scorecards

RETENTION = 30
RULES = (
    Rule("low", "Low", ScoreRule(direction="below", level=40, clear_level=50)),
    Rule("slow", "Low for long", ScoreRule(direction="below", level=40, for_seconds=600)),
    Rule("band", "Green", BandRule(to=["green"])),
    Rule("drop", "Drop", DropRule(points=10, days=7)),
    Rule("silence", "Silence", SilenceRule(level=2)),
)


def policy_of(*documents: Document) -> Policy:
    return Policy(in_order(compile_scorecard(parse(each, RETENTION), 1) for each in documents), RULES, RETENTION)


def drafted(document: Document, present: Policy) -> PolicyDraft:
    return draft(parse(document, RETENTION), present)


def outlook_of(changes: Sequence[PreviewChange], planned: PolicyDraft) -> PreviewSummary:
    totals = PreviewTotals(planned)
    for change in changes:
        totals.add(change)
    return totals.summary()


def _draft_of(document: Document, applies_to: Document | None) -> Document:
    return document if applies_to is None else {**document, "name": "draft", "applies_to": applies_to}


drafts = st.builds(
    _draft_of,
    scorecards(RETENTION),
    st.sampled_from([None, None, {"segments": ["smb"]}, {"tenure_days": [0, 400]}]),
)


@st.composite
def accounts(draw: st.DrawFn, policy: Policy) -> tuple[PreviewedAccount, int]:
    """An account that was last evaluated some time ago, or never, and a later moment."""
    events = draw(histories(RETENTION))
    state = folded([events] if events else [], RETENTION)
    day = draw(days_after(events, 20))
    now = start_of(day + draw(st.sampled_from([0, 0, 1, 8]))) + 60_000_000
    if draw(st.booleans()):
        return PreviewedAccount("acme", state, None, {}), now
    step = advance(state, None, {}, (), policy, start_of(day))
    return PreviewedAccount("acme", state, step.score_run, step.memory), now


@given(st.data(), scorecards(RETENTION))
def test_what_is_in_force_already_changes_nothing(data: st.DataObject, document: Document) -> None:
    present = policy_of(document)
    account, now = data.draw(accounts(present))
    planned = drafted(document, present)
    change = preview(account, planned, now)
    assert change.crossings == []
    assert change.before.score == change.after.score
    summary = outlook_of([change], planned)
    assert [(shift.before == shift.after, shift.accounts) for shift in summary.bands] == [(True, 1)]
    assert summary.scorecards == []
    assert summary.score.up == summary.score.down == []
    assert summary.score.mean in (0, None)
    assert all(rule.firing == rule.resolved == 0 for rule in summary.rules)


@given(st.data(), scorecards(RETENTION), drafts)
def test_evaluation_by_the_published_draft_is_as_previewed(
    data: st.DataObject, document: Document, written: Document
) -> None:
    present = policy_of(document)
    account, now = data.draw(accounts(present))
    planned = drafted(written, present)
    change = preview(account, planned, now)
    then = evaluate_now(account.state, policy_of(*[document] * (written["name"] != "default"), written), now)
    before = evaluate_now(account.state, present, now)
    assert (change.after.score, change.after.band, change.after.card.name) == (then.score, then.band, then.card.name)
    assert (change.before.score, change.before.band) == (before.score, before.band)


@given(st.data(), scorecards(RETENTION), drafts)
def test_alerts_are_those_of_publishing(data: st.DataObject, document: Document, written: Document) -> None:
    present = policy_of(document)
    account, now = data.draw(accounts(present))
    step = advance(account.state, account.score_run, account.memory, (), present, now)
    current = PreviewedAccount("acme", account.state, step.score_run, step.memory)
    planned = drafted(written, present)
    published = advance(account.state, step.score_run, step.memory, (), planned.published, now)
    assert preview(current, planned, now).crossings == published.crossings
    assert preview(account, planned, now).crossings == published.crossings


@given(st.data(), scorecards(RETENTION), drafts)
def test_an_account_stays_as_it_is(data: st.DataObject, document: Document, written: Document) -> None:
    present = policy_of(document)
    account, now = data.draw(accounts(present))
    before = encoded(account.state)
    preview(account, drafted(written, present), now)
    assert encoded(account.state) == before


@given(st.data(), scorecards(RETENTION), drafts)
def test_sums_agree_in_any_order(data: st.DataObject, document: Document, written: Document) -> None:
    present = policy_of(document)
    planned = drafted(written, present)
    some = [data.draw(accounts(present)) for _ in range(data.draw(st.integers(0, 4)))]
    changes = [
        replace(preview(account, planned, now), account_id=str(index)) for index, (account, now) in enumerate(some)
    ]
    summary = outlook_of(changes, planned)
    assert sum(shift.accounts for shift in summary.bands) == summary.judged == len(some)
    assert sum(each.accounts for each in summary.score.distribution) == summary.score.compared
    assert outlook_of(data.draw(st.permutations(changes)), planned) == summary

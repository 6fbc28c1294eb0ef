"""Random courses of one account through time: the events of each fold, the policy, and scores set by hand."""

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

from hypothesis import strategies as st
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from scoring.advance import AccountStep, advance
from scoring.history.score_run import ScoreRun
from scoring.rules.conditions import DropRule, Rule, RuleMemory
from scoring.rules.policy import Policy
from scoring.scorecards.document import parse
from scoring.scorecards.override import Override
from scoring.scorecards.scorecard import Scorecard, compile_scorecard
from scoring.scorecards.selection import in_order
from scoring.state.account_state import AccountState, decode, encode
from scoring.state.events import Event
from tests.support.oracle import DAY, HOUR
from tests.support.strategies import FIRST_DAY, MINUTE, batches, histories, in_log_order
from tests.support.strategies_scorecards import scorecards

RETENTION = 30
SPAN = 30
FALLS = Rule("falls", "falls", DropRule(points=10, days=10))
TIMES = (-5 * MINUTE, 0, 9 * HOUR, DAY - 1)
"""The times of day of folds and sweeps; the first is a clock that is behind the broker's."""


class Stop(NamedTuple):
    """One step: the fold at `now`, the policy, and the override that is set by hand, if one is."""

    now: int
    events: Sequence[Event]
    policy: Policy
    override: Override | UnsetType | None = UNSET


class AdvancedAccount(NamedTuple):
    """The result of a course."""

    steps: list[AccountStep]
    state: AccountState

    @property
    def score_run(self) -> ScoreRun:
        """The final score."""
        return self.steps[-1].score_run

    @property
    def runs(self) -> list[ScoreRun]:
        """All runs in order, with the current one."""
        return [*(closed for step in self.steps for closed in step.closed), self.score_run]

    @property
    def memory(self) -> dict[str, RuleMemory]:
        """The rules' final memory."""
        return self.steps[-1].memory


def advance_through(stops: Sequence[Stop]) -> AdvancedAccount:
    """Take an account through all stops, with its state written and read back in between."""
    state, score_run = AccountState(), None
    memory: dict[str, RuleMemory] = {}
    steps: list[AccountStep] = []
    for stop in stops:
        step = advance(state, score_run, memory, stop.events, stop.policy, stop.now, override=stop.override)
        state = decode(encode(state.usage), encode(state.tickets), encode(state.surveys), encode(state.attributes))
        score_run, memory = step.score_run, step.memory
        steps.append(step)
    return AdvancedAccount(steps, state)


@st.composite
def streams(draw: st.DrawFn) -> list[Event]:
    """Events in the order of a log, each with an identity of its own."""
    events = in_log_order(draw(histories(RETENTION, span=SPAN)))
    return [replace(event, id=str(number), source="app") for number, event in enumerate(events)]


@cache
@st.composite
def policies(draw: st.DrawFn) -> list[Policy]:
    """Scorecards for some segments, stages and tenures beside the default; then one is published again."""
    documents = [draw(scorecards(RETENTION))]
    for rank, audience in enumerate(draw(_AUDIENCES)):
        documents.append({**draw(scorecards(RETENTION)), "name": f"card-{rank}", "applies_to": audience})
    cards = [_compiled(document, 1) for document in documents]
    index = draw(st.integers(0, len(documents) - 1))
    again = _compiled({**documents[index], "measures": draw(scorecards(RETENTION))["measures"]}, 2)
    published = {(card.name, card.version): card for card in [*cards, again]}
    in_force = [cards, [*cards[:index], again, *cards[index + 1 :]]]
    return [Policy(in_order(some), (FALLS,), RETENTION, published) for some in in_force]


# The starts of tenures are from 187 days before the first day to 261 after it.
_AUDIENCES = st.lists(
    st.sampled_from(
        [{"segments": ["smb"]}, {"stages": ["live"]}, {"tenure_days": [0, 200]}, {"tenure_days": [220, 235]}]
    ),
    max_size=2,
)


def _compiled(document: dict[str, Any], version: int) -> Scorecard:
    return compile_scorecard(parse(document, RETENTION), version)


@st.composite
def on_time(draw: st.DrawFn, events: Sequence[Event], policy: Policy) -> list[Stop]:
    """Steps in which everything is folded on the broker's day, or together with later days, but never after a sweep."""
    first = events[0].broker_day if events else FIRST_DAY
    cut = draw(batches(events))
    stops: list[Stop] = []
    judged = first
    for batch in cut:
        if stops:
            stops += draw(_looks(judged, batch[0].broker_day, policy))
        judged = batch[-1].broker_day
        stops.append(Stop(judged * DAY + draw(st.sampled_from(TIMES)), batch, policy))
    return stops + draw(_looks(judged, judged, policy)) + [Stop((first + SPAN + 1) * DAY, [], policy)]


@st.composite
def _looks(draw: st.DrawFn, first: int, last: int, policy: Policy) -> list[Stop]:
    days = sorted(draw(st.lists(st.integers(first, last), max_size=3)))
    return [Stop(day * DAY + draw(st.sampled_from(TIMES)), [], policy) for day in days]


@st.composite
def anyhow(draw: st.DrawFn, events: Sequence[Event], in_turn: Sequence[Policy]) -> list[Stop]:
    """Steps that are early, late, and days apart; a policy replaces another, and overrides are set."""
    stops: list[Stop] = []
    now = (events[0].broker_day if events else FIRST_DAY) * DAY
    for batch in _with_nothing(draw(batches(events)), draw(st.lists(st.integers(0, 6), max_size=5))):
        if batch:
            now = max(now, batch[-1].broker_day * DAY)
        now += draw(st.sampled_from([-5 * MINUTE, 0, HOUR, 9 * HOUR, DAY, DAY, 3 * DAY, 12 * DAY]))
        override = draw(st.sampled_from([_unset, _unset, _unset, _unset, _take_back, _set, _set_for_some_days]))(now)
        stops.append(Stop(now, batch, in_turn[0], override))
    turn = draw(st.integers(0, len(stops)))
    return [stop._replace(policy=in_turn[index >= turn]) for index, stop in enumerate(stops)]


def _with_nothing(cut: Sequence[Sequence[Event]], where: Sequence[int]) -> list[Sequence[Event]]:
    batches = list(cut) or [[]]
    for index in where:
        batches.insert(index, [])
    return batches


def _unset(_now: int) -> UnsetType:
    return UNSET


def _take_back(_now: int) -> None:
    return None


def _set(now: int) -> Override:
    return Override("met them", "ann", now, score=20)


def _set_for_some_days(now: int) -> Override:
    return Override("on holiday", "bob", now, band="green", expires_at=now + 5 * DAY // 2)

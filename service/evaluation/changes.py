"""Advances stored accounts and collects the rows to write. Pure."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from msgspec import UNSET, UnsetType

from scoring.advance import AccountStep, advance
from scoring.history.score_run import ScoreRun
from scoring.rules.conditions import RuleMemory
from scoring.rules.crossings import about
from scoring.rules.policy import Policy
from scoring.scorecards.override import Override
from scoring.state.account_state import AccountState, decode, encode
from scoring.state.attributes import AttributeState
from scoring.state.calendar import start_of
from scoring.state.events import AttributesEvent, Event, SurveyEvent, TicketEvent, UsageEvent
from service.alerts.crossed_account import CrossedAccount
from service.storage.accounts.history import HistoryRow
from service.storage.accounts.listing.projection import ListedRow, is_shown_alike
from service.storage.accounts.score_codec import (
    decode_memories,
    encode_memories,
    encode_override,
    history_row,
    score_row,
    score_run_of,
)
from service.storage.accounts.scores import MemoryRow, OverrideRow, ScoreRow
from service.storage.accounts.states import StateRow, StoredAccount

_ONLY_USAGE = {UsageEvent}


@dataclass(slots=True)
class Changes:
    """The rows to write about some accounts."""

    tickets: list[StateRow] = field(default_factory=list)
    surveys: list[StateRow] = field(default_factory=list)
    attributes: dict[str, AttributeState] = field(default_factory=dict)
    scores: defaultdict[tuple[int, str, int], list[ScoreRow]] = field(default_factory=lambda: defaultdict(list))
    """Score rows by the values of `ScoreBasis`."""
    listed: list[ListedRow] = field(default_factory=list)
    """Only of accounts whose lists show something else than before."""
    history: list[HistoryRow] = field(default_factory=list)
    overrides: list[OverrideRow] = field(default_factory=list)
    memories: list[MemoryRow] = field(default_factory=list)
    crossed: list[CrossedAccount] = field(default_factory=list)
    late: int = 0

    def add(
        self,
        stored: StoredAccount,
        events: Sequence[Event],
        policy: Policy,
        now: int,
        override: Override | UnsetType | None = UNSET,
        seeds: Mapping[str, RuleMemory] | None = None,
        *,
        backfill: bool = False,
    ) -> None:
        """Fold `events` into a stored account and evaluate it at `now`, in microseconds.

        An override is set by hand, or withdrawn by None. `seeds` are memories of rules that have none yet. `backfill`
        says that all events are loaded history.
        """
        state, score_run, memory = read_state(stored), score_run_of(stored), read_memory(stored)
        step = advance(
            state,
            score_run,
            {**seeds, **memory} if seeds else memory,
            events,
            policy,
            now,
            source=stored.source,
            override=override,
            backfill=backfill,
        )
        self.late += step.late
        kinds = set(map(type, events))
        self._keep_score(
            stored.account_id, score_run, step, _usage_columns(state, events) if UsageEvent in kinds else ()
        )
        if kinds != _ONLY_USAGE:
            self._keep_other_states(stored.account_id, state, kinds)
        if step.crossings or step.memory != memory or step.due != start_of(step.evaluation.day + 1):
            sequence = stored.sequence + len(step.crossings)
            self.memories.append(MemoryRow(stored.account_id, encode_memories(step.memory), sequence, step.due))
        if step.crossings or step.switched:
            name = state.attributes.value("name")
            self.crossed.append(CrossedAccount(stored.account_id, stored.sequence, score_run, name, step, about(state)))

    def _keep_score(
        self, account_id: str, before: ScoreRun | None, step: AccountStep, usage: tuple[bytes, int, str] | tuple[()]
    ) -> None:
        after = step.score_run
        self.scores[after.day, after.scorecard, after.version].append(score_row(account_id, after, *usage))
        if before is None or not is_shown_alike(before.score, before.band, after.score, after.band):
            self.listed.append(ListedRow(account_id, after.score, after.band))
        if step.closed:
            self.history += [history_row(account_id, closed) for closed in step.closed]
        if after.override is not (before.override if before else None):
            self.overrides.append(OverrideRow(account_id, encode_override(after.override)))

    def _keep_other_states(self, account_id: str, state: AccountState, kinds: AbstractSet[type[Event]]) -> None:
        if TicketEvent in kinds:
            self.tickets.append(StateRow(account_id, encode(state.tickets), state.tickets.newest_at))
        if SurveyEvent in kinds:
            self.surveys.append(StateRow(account_id, encode(state.surveys), state.surveys.newest_at))
        if AttributesEvent in kinds:
            self.attributes[account_id] = state.attributes


def _usage_columns(state: AccountState, events: Sequence[Event]) -> tuple[bytes, int, str]:
    """The state of usage, the time of its newest event, and the source of the last one, as a score row holds them."""
    last = events[-1]
    if last.__class__ is not UsageEvent:
        last = next(event for event in reversed(events) if event.__class__ is UsageEvent)
    return encode(state.usage), state.usage.newest_at, last.source


def read_state(stored: StoredAccount) -> AccountState:
    """The account state in a row of `states.read`."""
    return decode(stored.usage, stored.tickets, stored.surveys, stored.attributes)


def read_memory(stored: StoredAccount) -> dict[str, RuleMemory]:
    """The rule memories in a row of `states.read`."""
    return decode_memories(stored.rule_memory)

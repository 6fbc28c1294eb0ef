"""From an account as it is stored to what there is to write about it. Pure."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from scoring.advance import Policy, Step, advance
from scoring.attributes import AttributeState
from scoring.events import AttributesEvent, Event, SurveyEvent, TicketEvent, UsageEvent
from scoring.rules import Memory
from scoring.state import AccountState, decode, encode
from scoring.windows import start_of
from service.storage.scores import Judged, MemoryRow, ScoreRow, encode_readings
from service.storage.states import StateRow, StoredAccount

_memories = msgspec.msgpack.Decoder(dict[str, Memory])
_encode_memories = msgspec.msgpack.Encoder().encode


@dataclass(slots=True)
class Crossed:
    """An account that crossed a threshold: as it was stored before, its name, and the step that crossed."""

    before: StoredAccount
    name: object
    step: Step


@dataclass(slots=True)
class Changes:
    """What is to be written about some accounts."""

    usage: list[StateRow] = field(default_factory=list)
    tickets: list[StateRow] = field(default_factory=list)
    surveys: list[StateRow] = field(default_factory=list)
    attributes: dict[str, AttributeState] = field(default_factory=dict)
    scores: defaultdict[Judged, list[ScoreRow]] = field(default_factory=lambda: defaultdict(list))
    memories: list[MemoryRow] = field(default_factory=list)
    crossed: list[Crossed] = field(default_factory=list)
    late: int = 0

    def add(self, stored: StoredAccount, events: Sequence[Event], policy: Policy, now: int) -> None:
        """Fold `events` into a stored account and judge it at `now`, in microseconds."""
        state = read_state(stored)
        memory = _memories.decode(stored.rule_memory) if stored.rule_memory else {}
        step = advance(state, memory, events, policy, now)
        self.late += step.late
        self._keep_states(stored.account_id, state, events)
        evaluation = step.evaluation
        card = evaluation.card
        self.scores[Judged(evaluation.day, card.name, card.version)].append(
            ScoreRow(
                stored.account_id,
                evaluation.score,
                evaluation.band,
                evaluation.coverage,
                encode_readings(evaluation.readings),
            )
        )
        if step.crossings or step.memory != memory or step.due != start_of(evaluation.day + 1):
            remembered = _encode_memories(step.memory) if step.memory else None
            sequence = stored.sequence + len(step.crossings)
            self.memories.append(MemoryRow(stored.account_id, remembered, sequence, step.due))
        if step.crossings:
            self.crossed.append(Crossed(stored, state.attributes.value("name"), step))

    def _keep_states(self, account_id: str, state: AccountState, events: Sequence[Event]) -> None:
        for kind in {type(event) for event in events}:
            if kind is UsageEvent:
                self.usage.append(StateRow(account_id, encode(state.usage), state.usage.newest_at))
            elif kind is TicketEvent:
                self.tickets.append(StateRow(account_id, encode(state.tickets), state.tickets.newest_at))
            elif kind is SurveyEvent:
                self.surveys.append(StateRow(account_id, encode(state.surveys), state.surveys.newest_at))
            elif kind is AttributesEvent:
                self.attributes[account_id] = state.attributes


def read_state(stored: StoredAccount) -> AccountState:
    """The account state in a row of `states.read`."""
    return decode(stored.usage, stored.tickets, stored.surveys, stored.attributes)

"""An account's state: one accumulator per signal, and the fold over all of them.

The order in which events arrive never matters: any interleaving of the same events within retention leaves the same
bytes. Duplicates are dropped before the fold, by the event's identity.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Struct, field

from scoring.state.attributes import AttributeState, advance_attributes, fold_attributes
from scoring.state.events import AttributesEvent, Event, SurveyEvent, TicketEvent
from scoring.state.surveys import SurveyState, advance_surveys, fold_surveys
from scoring.state.tickets import TicketState, advance_tickets, fold_tickets
from scoring.state.usage import UsageState, advance_usage, fold_usage
from scoring.state.usage_batch import Arrivals, arrivals

RETENTION_DAYS: Final = 92

SignalState = UsageState | TicketState | SurveyState | AttributeState


class AccountState(Struct, gc=False):
    """Everything stored about an account's events."""

    usage: UsageState = field(default_factory=UsageState)
    tickets: TicketState = field(default_factory=TicketState)
    surveys: SurveyState = field(default_factory=SurveyState)
    attributes: AttributeState = field(default_factory=AttributeState)

    @property
    def newest(self) -> int:
        """The newest broker day that any signal has seen; -1 before the first event."""
        return max(self.usage.newest, self.tickets.newest, self.surveys.newest, self.attributes.newest)


def fold(state: AccountState, events: Sequence[Event], retention: int = RETENTION_DAYS) -> int:
    """Fold events into `state`, in place; returns the number left out as late, by their own broker day."""
    return fold_arrivals(state, arrivals(events, retention), retention)


def fold_arrivals(state: AccountState, arrived: Arrivals, retention: int) -> int:
    """Like `fold`, for events that have been read already."""
    late = arrived.late
    if arrived.entries or arrived.late:
        fold_usage(state.usage, arrived, retention)
    if not arrived.others:
        return late
    if tickets := [event for event in arrived.others if type(event) is TicketEvent]:
        late += fold_tickets(state.tickets, tickets, retention)
    if surveys := [event for event in arrived.others if type(event) is SurveyEvent]:
        late += fold_surveys(state.surveys, surveys, retention)
    if attributes := [event for event in arrived.others if type(event) is AttributesEvent]:
        late += fold_attributes(state.attributes, attributes, retention)
    return late


def apply_pending(state: AccountState, day: int) -> None:
    """Apply, in place, the entries that were dated ahead of the broker's day and are due by `day`."""
    if state.usage.pending and state.usage.newest < day:
        advance_usage(state.usage, day)
    if state.tickets.pending and state.tickets.newest < day:
        advance_tickets(state.tickets, day)
    if state.surveys.pending and state.surveys.newest < day:
        advance_surveys(state.surveys, day)
    if state.attributes.pending and state.attributes.newest < day:
        advance_attributes(state.attributes, day)


_encoder = msgspec.msgpack.Encoder()
_usage = msgspec.msgpack.Decoder(UsageState)
_tickets = msgspec.msgpack.Decoder(TicketState)
_surveys = msgspec.msgpack.Decoder(SurveyState)
_attributes = msgspec.msgpack.Decoder(AttributeState)


def encode(state: SignalState) -> bytes:
    """The canonical bytes of one signal's state: equal states give equal bytes.

    The folds keep every mapping sorted by key, so there is nothing to sort here.
    """
    return _encoder.encode(state)


def decode(usage: bytes | None, tickets: bytes | None, surveys: bytes | None, attributes: bytes | None) -> AccountState:
    """The state of an account from the bytes of its signals; None for a signal that was never seen."""
    return AccountState(
        UsageState() if usage is None else _usage.decode(usage),
        TicketState() if tickets is None else _tickets.decode(tickets),
        SurveyState() if surveys is None else _surveys.decode(surveys),
        AttributeState() if attributes is None else _attributes.decode(attributes),
    )

"""The ticket signal: the last snapshot of each ticket that is open or was solved within retention."""

from collections.abc import Sequence

from msgspec import Struct, field

from scoring.state.calendar import day_of
from scoring.state.events import SOLVED_STATUSES, TicketEvent
from scoring.state.sorted_dicts import sort_keys


class Ticket(Struct, frozen=True, order=True, array_like=True, gc=False):
    """One snapshot. The order of the fields is what "last writer wins by (time, id)" compares."""

    at: int
    id: str
    status: str
    priority: str
    created_at: int
    solved_at: int
    reopens: int
    satisfaction: str


class TicketState(Struct, array_like=True, gc=False):
    """The state that ticket events leave. Snapshots dated after `newest` wait in `pending`."""

    newest: int = -1
    newest_at: int = 0
    tickets: dict[str, Ticket] = field(default_factory=dict)
    pending: dict[str, Ticket] = field(default_factory=dict)


def fold_tickets(state: TicketState, events: Sequence[TicketEvent], retention: int) -> int:
    """Fold events into `state`, in place; returns the number left out as late, by their own broker day."""
    newest = max([event.broker_day for event in events])
    moved = newest > state.newest
    if moved:
        advance_tickets(state, newest)
    oldest = state.newest - retention + 1
    late = 0
    for event in events:
        day = day_of(event.at)
        if day <= event.broker_day - retention:
            late += 1
            continue
        ticket = Ticket(
            event.at,
            event.id,
            event.status,
            event.priority,
            event.created_at,
            event.solved_at,
            event.reopens,
            event.satisfaction,
        )
        if day > state.newest:
            _keep_newer(state.pending, event.ticket_id, ticket)
        else:
            _settle(state, event.ticket_id, ticket)
    # Last, so that a solved ticket still beats its older snapshots in the same batch.
    if moved or any(day_of(event.at) < oldest for event in events):
        _forget(state, oldest)
    sort_keys(state.tickets)
    sort_keys(state.pending)
    return late


def advance_tickets(state: TicketState, newest: int) -> None:
    """Advance the newest day and apply the pending snapshots up to it."""
    state.newest = newest
    for ticket_id in [key for key, ticket in state.pending.items() if day_of(ticket.at) <= newest]:
        _settle(state, ticket_id, state.pending.pop(ticket_id))


def _forget(state: TicketState, oldest: int) -> None:
    state.tickets = {key: ticket for key, ticket in state.tickets.items() if not _has_left(ticket, oldest)}


def _settle(state: TicketState, ticket_id: str, ticket: Ticket) -> None:
    state.newest_at = max(state.newest_at, ticket.at)
    _keep_newer(state.tickets, ticket_id, ticket)


def _keep_newer(tickets: dict[str, Ticket], ticket_id: str, ticket: Ticket) -> None:
    known = tickets.get(ticket_id)
    if known is None or known < ticket:
        tickets[ticket_id] = ticket


def _has_left(ticket: Ticket, oldest: int) -> bool:
    # By the snapshot's own time as well: an older snapshot may still arrive, and must find the newer one.
    # By its creation too, which a wrong clock may put after both: it still counts as created.
    return ticket.status in SOLVED_STATUSES and day_of(max(ticket.at, ticket.solved_at, ticket.created_at)) < oldest

"""Folding as consumers do it: batch by batch, with the state written and read back between batches."""

from collections.abc import Iterable, Sequence
from copy import deepcopy

from scoring.state.account_state import AccountState, apply_pending, decode, encode, fold
from scoring.state.events import Event

Encoded = tuple[bytes, bytes, bytes, bytes]


def encoded(state: AccountState) -> Encoded:
    """The bytes of each signal."""
    return encode(state.usage), encode(state.tickets), encode(state.surveys), encode(state.attributes)


def folded(batches: Iterable[Sequence[Event]], retention: int) -> AccountState:
    """The state after the batches, one after the other."""
    state = AccountState()
    for batch in batches:
        fold(state, batch, retention)
        state = decode(*encoded(state))
    return state


def settled(state: AccountState, day: int) -> AccountState:
    """A copy with everything applied that is due by `day`."""
    copy = deepcopy(state)
    apply_pending(copy, day)
    return copy

"""The account's attributes: one last-writer-wins register each."""

from collections.abc import Sequence

from msgspec import Struct, field

from scoring.state.calendar import day_of, to_day_text
from scoring.state.events import AttributesEvent, AttributeValue
from scoring.state.sorted_dicts import sort_keys


class Register(Struct, frozen=True, array_like=True, gc=False):
    """A value and the event that wrote it."""

    at: int
    id: str
    value: AttributeValue

    def beats(self, other: "Register | None") -> bool:
        """True if this one is the later writer, by (time, id) and then by value, so that order never matters."""
        return other is None or self._rank() > other._rank()

    def _rank(self) -> tuple[int, str, bool, str]:
        return self.at, self.id, self.value is not None, str(self.value)


class AttributeState(Struct, array_like=True, gc=False):
    """Registers by attribute name. Those dated after `newest` wait in `pending`."""

    newest: int = -1
    registers: dict[str, Register] = field(default_factory=dict)
    pending: dict[str, Register] = field(default_factory=dict)

    def value(self, name: str) -> AttributeValue:
        """The attribute's value; None if it was never set, or was cleared."""
        register = self.registers.get(name)
        return None if register is None else register.value


def churned_on(state: AttributeState, day: int) -> str | None:
    """The day on which the account churned, if that is `day` or an earlier one."""
    left = state.value("churned_on")
    return left if isinstance(left, str) and to_day_text(left) <= day else None


def fold_attributes(state: AttributeState, events: Sequence[AttributesEvent], retention: int) -> int:
    """Fold events into `state`, in place; returns the number left out as late, by their own broker day."""
    newest = max([event.broker_day for event in events])
    if newest > state.newest:
        advance_attributes(state, newest)
    late = 0
    for event in events:
        day = day_of(event.at)
        if day <= event.broker_day - retention:
            late += 1
            continue
        registers = state.pending if day > state.newest else state.registers
        for name, value in event.values.items():
            _keep_newer(registers, name, Register(event.at, event.id, value))
    sort_keys(state.registers)
    sort_keys(state.pending)
    return late


def advance_attributes(state: AttributeState, newest: int) -> None:
    """Advance the newest day and apply the pending entries up to it. An attribute never expires."""
    state.newest = newest
    for name in [name for name, register in state.pending.items() if day_of(register.at) <= newest]:
        _keep_newer(state.registers, name, state.pending.pop(name))


def _keep_newer(registers: dict[str, Register], name: str, register: Register) -> None:
    if register.beats(registers.get(name)):
        registers[name] = register

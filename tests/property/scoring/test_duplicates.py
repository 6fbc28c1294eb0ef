"""A second copy of an event changes nothing. Copies of usage never reach a fold: they are dropped before it."""

from hypothesis import given
from hypothesis import strategies as st

from scoring.state.events import UsageEvent
from tests.support.folding import encoded, folded
from tests.support.strategies import batches, histories, in_log_order, with_copies, within_retention


@given(st.data())
def test_copies_within_retention_change_nothing(data: st.DataObject) -> None:
    events = within_retention(data.draw(histories(30, span=30)), 30)
    copied = data.draw(with_copies(events))
    assert encoded(folded(data.draw(batches(copied)), 30)) == encoded(folded(data.draw(batches(events)), 30))


@given(st.data())
def test_a_log_read_twice_changes_nothing(data: st.DataObject) -> None:
    history = data.draw(histories(30, span=30))
    log = in_log_order([event for event in within_retention(history, 30) if not isinstance(event, UsageEvent)])
    once = data.draw(batches(log))
    assert encoded(folded([*once, *once], 30)) == encoded(folded(once, 30))

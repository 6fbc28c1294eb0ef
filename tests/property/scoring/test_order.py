"""The order in which events arrive never matters, and neither does how they were cut into batches."""

from hypothesis import given
from hypothesis import strategies as st

from scoring.state.account_state import AccountState, fold
from scoring.state.events import TicketEvent
from tests.support import oracle
from tests.support.folding import encoded, folded
from tests.support.strategies import batches, dated_ahead, histories, in_log_order, within_retention

RETENTIONS = st.sampled_from([3, 30, 92])


@given(st.data(), RETENTIONS)
def test_any_interleaving_within_retention_gives_the_same_bytes(data: st.DataObject, retention: int) -> None:
    events = within_retention(data.draw(histories(retention, span=retention, ids="ab")), retention)
    other_order = data.draw(st.permutations(events))
    expected = encoded(folded([events] if events else [], retention))
    assert encoded(folded(data.draw(batches(other_order)), retention)) == expected


@given(st.data())
def test_what_waits_for_its_day_waits_in_any_order(data: st.DataObject) -> None:
    events = [dated_ahead(event) for event in data.draw(histories(30, span=1, ids="ab"))]
    other_order = data.draw(st.permutations(events))
    expected = encoded(folded([events] if events else [], 30))
    assert encoded(folded(data.draw(batches(other_order)), 30)) == expected


@given(st.data(), RETENTIONS)
def test_all_but_tickets_may_even_be_interleaved_across_retention(data: st.DataObject, retention: int) -> None:
    history = data.draw(histories(retention, span=3 * retention, ids="ab"))
    events = [event for event in history if not isinstance(event, TicketEvent)]
    other_order = data.draw(st.permutations(events))
    assert encoded(folded(data.draw(batches(events)), retention)) == encoded(
        folded(data.draw(batches(other_order)), retention)
    )


@given(st.data(), RETENTIONS)
def test_a_log_replayed_in_other_batches_gives_the_same_bytes(data: st.DataObject, retention: int) -> None:
    log = in_log_order(data.draw(histories(retention, span=3 * retention, ids="ab")))
    one_by_one = encoded(folded([[event] for event in log], retention))
    assert encoded(folded(data.draw(batches(log)), retention)) == one_by_one


@given(st.data(), RETENTIONS)
def test_late_events_are_counted_by_their_own_broker_day(data: st.DataObject, retention: int) -> None:
    events = data.draw(histories(retention))
    state = AccountState()
    counted = sum(fold(state, batch, retention) for batch in data.draw(batches(events)))
    assert counted == len([event for event in events if oracle.is_late(event, retention)])

"""The state after a fold, by example."""

from zlib import crc32

from msgspec.structs import replace

from scoring.state.account_state import RETENTION_DAYS, AccountState, apply_pending, encode, fold
from scoring.state.distinct_sample import ALL, LIMIT
from scoring.state.events import AttributesEvent, Event, TicketEvent
from tests.support.facts import ACCOUNT, TODAY, answered, noon, state_of, ticket, used, with_attributes

YEAR: list[Event] = [
    with_attributes(300, seats=50, segment="smb"),
    ticket("T-open", "open", 300, ago=300),
    ticket("T-solved", "solved", 300, ago=300, solved=300),
    answered("nps", 9, 300, "ann"),
    used(300),
    with_attributes(0, name="Acme"),
    ticket("T-new", "new", 0),
    answered("nps", 3, 0, "bob"),
    used(0),
]
"""A year of an account in log order: each record is on time, and the first five are long gone when the last come."""


def in_one_batch(events: list[Event]) -> AccountState:
    state = AccountState()
    assert fold(state, events) == 0
    return state


def test_a_year_replayed_in_one_batch_leaves_what_it_left_live() -> None:
    replayed, live = in_one_batch(YEAR), state_of(*YEAR)
    assert replayed == live
    assert live.attributes.value("seats") == 50
    assert set(live.tickets.tickets) == {"T-open", "T-new"}
    assert len(live.surveys.surveys["nps"].last) == 2
    assert list(live.usage.days) == [TODAY]


def test_an_event_is_late_by_the_day_its_own_record_was_taken() -> None:
    def taken_today(ago: int) -> Event:
        return AttributesEvent(ACCOUNT, noon(ago), TODAY, "e-1", {"seats": 5})

    assert fold(AccountState(), [taken_today(RETENTION_DAYS - 1)]) == 0
    assert fold(AccountState(), [taken_today(RETENTION_DAYS)]) == 1


def test_a_solved_ticket_beats_its_older_snapshots_even_as_it_leaves() -> None:
    solved_first: list[Event] = [
        ticket("T-1", "solved", 301, ago=299, solved=299),
        TicketEvent(ACCOUNT, noon(300), TODAY - 299, "e-1", "T-1", "open", "normal", noon(301)),
        ticket("T-2", "open", 0),
    ]
    assert set(in_one_batch(solved_first).tickets.tickets) == {"T-2"}
    assert set(state_of(*solved_first).tickets.tickets) == {"T-2"}


def test_a_solved_ticket_stays_for_as_long_as_it_is_within_retention() -> None:
    within, beyond = RETENTION_DAYS - 1, RETENTION_DAYS
    state = state_of(
        ticket("T-1", "solved", 99, ago=beyond, solved=beyond),
        ticket("T-2", "closed", 99, ago=beyond, solved=within),
        ticket("T-3", "solved", 99, ago=within, solved=beyond),
        ticket("T-4", "solved", 99, ago=within),
        ticket("T-5", "closed", 99, ago=beyond),
        ticket("T-6", "pending", 99, ago=beyond),
        ticket("T-7", "open", 0),
    )
    assert set(state.tickets.tickets) == {"T-2", "T-3", "T-4", "T-6", "T-7"}


def test_the_last_day_of_use_outlives_its_counters() -> None:
    state = state_of(used(200, "export"), used(93), used(91, user="bob"), used(0, user=None))
    assert list(state.usage.days) == [TODAY - 91, TODAY]
    assert list(state.usage.users) == [crc32(b"bob")]
    assert list(state.usage.features) == ["login"]
    assert state_of(used(200)).usage.last_day == TODAY - 200


def test_users_who_left_do_not_thin_out_those_who_stay() -> None:
    everyone: list[Event] = [used(ago, user=f"{ago}-{n}") for ago in (250, 120, 0) for n in range(LIMIT // 2)]
    state = in_one_batch(everyone)
    assert len(state.usage.users) == LIMIT // 2
    assert state.usage.users_below == ALL


def test_a_cleared_attribute_and_the_text_none_do_not_tie() -> None:
    events = [AttributesEvent(ACCOUNT, noon(0), TODAY, "e-1", {"owner": value}) for value in ("None", None)]
    assert encode(state_of(*events).attributes) == encode(state_of(*reversed(events)).attributes)


def test_what_is_dated_further_ahead_waits_longer() -> None:
    state = state_of(used(-3), ticket("T-1", "open", 0, ago=-3), answered("nps", 9, -3), with_attributes(-3, seats=5))
    apply_pending(state, TODAY + 2)
    assert (state.usage.days, state.tickets.tickets, state.surveys.surveys) == ({}, {}, {})
    assert state.attributes.value("seats") is None
    apply_pending(state, TODAY + 3)
    assert state.usage.days == {TODAY + 3: 1}
    assert set(state.tickets.tickets) == {"T-1"}
    assert len(state.surveys.surveys["nps"].last) == 1
    assert state.attributes.value("seats") == 5


def test_what_is_dated_tomorrow_waits() -> None:
    state = state_of(used(-1), ticket("T-1", "open", 0, ago=-1), answered("nps", 9, -1), with_attributes(-1, seats=5))
    assert state.usage.days == {}
    assert state.tickets.tickets == {}
    assert state.surveys.surveys == {}
    assert state.attributes.value("seats") is None
    next_day: list[Event] = [
        used(-1),
        ticket("T-2", "open", 0),
        answered("nps", 9, 0, "bob"),
        with_attributes(name="Acme"),
    ]
    for event in next_day:
        fold(state, [replace(event, broker_day=TODAY + 1)])
    assert state.usage.days == {TODAY + 1: 2}
    assert set(state.tickets.tickets) == {"T-1", "T-2"}
    assert len(state.surveys.surveys["nps"].last) == 2
    assert state.attributes.value("seats") == 5

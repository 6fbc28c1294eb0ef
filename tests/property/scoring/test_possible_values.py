"""Whatever times other systems send, no measure gives a value that can't be."""

from math import inf, isfinite
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from scoring.scorecards.catalogue import CATALOGUE
from scoring.scorecards.measure import Missing, Parameters
from scoring.state.account_state import AccountState, fold
from scoring.state.calendar import day_of
from scoring.state.events import AttributesEvent, Event, SurveyEvent, SurveyKind, TicketEvent, UsageEvent
from tests.support.folding import settled
from tests.support.oracle import DAY, HOUR
from tests.support.strategies import ACCOUNT, FIRST_DAY, HASHES
from tests.support.strategies_scorecards import parameters

NOON = FIRST_DAY * DAY + 12 * HOUR
YEAR_1, YEAR_10000 = -62_135_596_800_000_000, 253_402_300_800_000_000
MOMENTS = st.one_of(
    st.sampled_from([YEAR_1, YEAR_10000 - 1, -1, 0, 1, NOON, NOON - 1, NOON + 1]),
    st.integers(-40, 40).map(lambda days: NOON + days * DAY),
    st.integers(YEAR_1, YEAR_10000 - 1),
)
"""Times of anything in an event except its own."""
RETENTION = 30


@st.composite
def events(draw: st.DrawFn) -> Event:
    """An event that decodes: its own time is at most five minutes ahead, everything in it may be anything."""
    broker_day = FIRST_DAY + draw(st.integers(-3, 3))
    at = draw(st.integers((broker_day - 31) * DAY, (broker_day + 1) * DAY + HOUR // 12))
    kind = draw(st.sampled_from(["usage", "ticket", "ticket", "survey", "attributes"]))
    if kind == "usage":
        user = draw(st.sampled_from([None, *HASHES]))
        feature = draw(st.sampled_from(["login", "export"]))
        return UsageEvent(ACCOUNT, at, day_of(at), broker_day, feature, user, draw(st.integers(1, 10**9)))
    if kind == "survey":
        surveys: list[SurveyKind] = ["nps", "csat", "ces"]
        survey = draw(st.sampled_from(surveys))
        lowest, highest = (0, 10) if survey == "nps" else (1, draw(st.integers(2, 1_000)))
        score = draw(st.integers(lowest, highest)) * 1_000_000
        return SurveyEvent(ACCOUNT, at, broker_day, "s", survey, draw(st.sampled_from(HASHES)), score, highest * 10**6)
    if kind == "attributes":
        dates = ["0001-01-01", "9999-12-31", "2024-10-04", None]
        said = {name: draw(st.sampled_from(dates)) for name in ("started_on", "renews_on")}
        return AttributesEvent(
            ACCOUNT, at, broker_day, "a", {**said, "seats": draw(st.sampled_from([0, 1, 2_000_000_000]))}
        )
    return TicketEvent(
        ACCOUNT,
        at,
        broker_day,
        draw(st.sampled_from("ab")),
        draw(st.sampled_from(["T-1", "T-2", "T-3"])),
        draw(st.sampled_from(["new", "open", "pending", "hold", "solved", "closed"])),
        draw(st.sampled_from(["low", "urgent"])),
        draw(MOMENTS),
        draw(MOMENTS),
        draw(st.integers(0, 1_000_000)),
        draw(st.sampled_from(["", "good", "bad"])),
    )


def solved_before_created(created_at: int, solved_at: int, status: str = "solved") -> list[Event]:
    return [TicketEvent(ACCOUNT, NOON, FIRST_DAY, "a", "T-1", status, "low", created_at, solved_at)]


def bounds(name: str, entry: dict[str, Any], tickets: int) -> tuple[float, float]:
    """The possible values of a measure."""
    if name in ("tenure_days", "days_to_renewal"):
        return -inf, inf  # a contract may begin in days to come, and end in days gone by
    if name == "nps":
        return -100, 100
    if name in ("csat", "ces", "reopen_rate", "ticket_satisfaction") or (
        "features" in entry and name == "feature_adoption"
    ):
        return 0, 100
    if name == "active_days":
        return 0, entry["window"]
    return 0, tickets if name in ("open_tickets", "tickets_created") else inf


@given(st.lists(events(), max_size=12), st.integers(-4, 120), st.data())
def test_no_measure_gives_an_impossible_value(found: list[Event], later: int, data: st.DataObject) -> None:
    """Evaluated on any day, even one before the newest: a reader's clock may be behind the broker's."""
    check(found, FIRST_DAY + later, data)


@given(
    st.sampled_from(
        [
            solved_before_created(NOON, NOON - 3 * DAY),
            solved_before_created(NOON + 9 * DAY, NOON),
            solved_before_created(YEAR_10000 - 1, NOON),
            solved_before_created(NOON + 9 * DAY, 0, "open"),
            solved_before_created(YEAR_1, YEAR_10000 - 1, "open"),
        ]
    ),
    st.data(),
)
@example(solved_before_created(NOON, NOON - 1), None)
def test_nor_where_a_ticket_was_solved_before_it_was_created(found: list[Event], data: st.DataObject | None) -> None:
    check(found, FIRST_DAY, data)


def check(found: list[Event], day: int, data: st.DataObject | None) -> None:
    state = AccountState()
    if found:
        fold(state, found, RETENTION)
    state = settled(state, day)
    for name, definition in CATALOGUE.items():
        entry: dict[str, Any] = data.draw(parameters(RETENTION, name)) if data else {"window": 7}
        features, priorities = entry.get("features"), entry.get("priorities")
        value = definition.build(
            Parameters(
                entry.get("window", 1),
                None if features is None else frozenset(features),
                None if priorities is None else frozenset(priorities),
            )
        )(state, day)
        if isinstance(value, Missing):
            continue
        lowest, highest = bounds(name, entry, len(state.tickets.tickets))
        assert isfinite(value), name
        assert lowest <= value <= highest, (name, entry, value)

"""Runs of days tile the time, each day is scored as if from nothing, and every change is put down to its causes."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET
from msgspec.structs import replace

from scoring.advance import advance
from scoring.history.journal import MOST_IDS, Moved, entries
from scoring.history.journal_codec import decode_journal, has_waiting
from scoring.history.score_run import ScoreRun, decode_readings
from scoring.rules.conditions import OK
from scoring.rules.policy import Policy
from scoring.rules.state_machine import close_day
from scoring.scorecards.contributions import add, change, contributions_in_billionths
from scoring.scorecards.override import Override
from scoring.scorecards.scorecard import Evaluation
from scoring.state.calendar import from_day, start_of
from service.evaluation.drop_history import remembered
from tests.support.courses import FALLS, Stop, advance_through, anyhow, on_time, policies, streams
from tests.support.oracle import DAY
from tests.support.oracle_courses import Expected
from tests.support.strategies import FIRST_DAY


@st.composite
def courses(draw: st.DrawFn) -> list[Stop]:
    return draw(anyhow(draw(streams()), draw(policies())))


def evaluated(stops: list[Stop], stands: ScoreRun) -> Evaluation:
    card = stops[-1].policy.find(stands.scorecard, stands.version)
    assert card is not None
    return stands.evaluation(card)


@given(courses())
def test_runs_tile_the_days(stops: list[Stop]) -> None:
    runs, days = advance_through(stops).runs, Expected(stops).days
    assert runs[0].since == min(days)
    assert runs[-1].day == max(days)
    assert all(before.day + 1 == after.since <= after.day for before, after in pairwise(runs))


@given(courses())
def test_every_day_is_scored_as_it_would_be_from_nothing(stops: list[Stop]) -> None:
    days = Expected(stops).days
    for run in advance_through(stops).runs:
        for day in range(run.since, run.day + 1):
            fresh, kept = days[day].evaluation, evaluated(stops, run)
            assert fresh is not None
            assert (run.score, run.band, run.coverage) == (fresh.score, fresh.band, fresh.coverage), from_day(day)
            assert (run.scorecard, run.version) == (fresh.card.name, fresh.card.version)
            assert (kept.score, kept.band, kept.coverage) == (fresh.score, fresh.band, fresh.coverage)
            assert contributions_in_billionths(kept) == contributions_in_billionths(fresh)
            assert run.override == days[day].override
    assert decode_readings(run.readings) == list(fresh.readings if fresh else ())


@given(courses())
def test_a_run_begins_where_something_changed_and_nowhere_else(stops: list[Stop]) -> None:
    assert [run.since for run in advance_through(stops).runs] == [
        day for day, it in Expected(stops).days.items() if it.begins
    ]


def journal_of(run: ScoreRun, stands: Evaluation | None, policy: Policy) -> list[Moved]:
    return entries(decode_journal(run.journal, policy.find), stands, policy.find)


@given(courses())
def test_nothing_waits_in_the_journals_of_history(stops: list[Stop]) -> None:
    assert not any(has_waiting(run.journal) for run in advance_through(stops).runs[:-1])


@given(courses())
def test_the_journal_of_a_run_has_what_each_cause_moved_on_its_first_day(stops: list[Stop]) -> None:
    ridden, days = advance_through(stops), Expected(stops).days
    before: Evaluation | None = None
    for run in ridden.runs:
        stands = evaluated(stops, run)
        moved = {entry.cause: delta for entry, delta in journal_of(run, stands, stops[-1].policy)}
        expected = {cause: change({}, deltas) for cause, deltas in days[run.since].moves.items()}
        assert {cause: delta for cause, delta in moved.items() if delta} == {c: d for c, d in expected.items() if d}
        total: dict[str, int] = {}
        for delta in moved.values():
            add(total, delta)
        assert total == change(contributions_in_billionths(before), contributions_in_billionths(stands))
        before = stands


@given(courses())
def test_the_journal_names_a_few_of_the_events_that_came(stops: list[Stop]) -> None:
    ridden, days = advance_through(stops), Expected(stops).days
    for run in ridden.runs:
        for entry, _ in journal_of(run, evaluated(stops, run), stops[-1].policy):
            came = [(event.source, event.id) for event in days[run.since].events[entry.cause]]
            assert len(entry.ids) == len(set(entry.ids)) <= MOST_IDS
            assert set(entry.ids) <= set(came)
            assert len(entry.ids) <= entry.events <= len(came)


@given(courses())
def test_a_look_at_which_nothing_has_changed_writes_nothing(stops: list[Stop]) -> None:
    ridden, last = advance_through(stops), stops[-1]
    again = advance(ridden.state, ridden.score_run, ridden.memory, [], last.policy, last.now)
    settled = advance(ridden.state, again.score_run, again.memory, [], last.policy, last.now)
    assert (settled.score_run, settled.closed, settled.crossings) == (again.score_run, [], [])
    if last.override is UNSET:
        assert (again.score_run, again.closed, again.crossings) == (ridden.score_run, [], [])


@given(policies(), st.integers(2, 5))
def test_an_override_ends_on_the_day_that_it_expires_however_late_somebody_looks(
    in_turn: list[Policy], later: int
) -> None:
    policy, noon = in_turn[0], FIRST_DAY * DAY + DAY // 2
    by_hand = Override("met them", "ann", noon, score=20, expires_at=noon + DAY)
    looks = (Stop((FIRST_DAY + day) * DAY, [], policy) for day in (1, later))
    ridden = advance_through([Stop(noon, [], policy, by_hand), *looks])
    assert [(run.since, run.override) for run in ridden.runs[:2]] == [(FIRST_DAY, by_hand), (FIRST_DAY + 1, None)]
    moved = journal_of(ridden.runs[1], evaluated([Stop(0, [], policy)], ridden.runs[1]), policy)
    assert [entry.at for entry, _ in moved if entry.cause == "override"] == [noon + DAY]


@given(courses(), st.integers(1, 20))
def test_days_on_which_nothing_changes_move_nothing_but_the_day(stops: list[Stop], later: int) -> None:
    ridden, last = advance_through(stops), stops[-1]
    day = ridden.score_run.day + later
    after = advance(ridden.state, ridden.score_run, ridden.memory, [], last.policy, start_of(day))
    days = Expected([*stops, Stop(start_of(day), [], last.policy)]).days
    expires = days[ridden.score_run.day].override != ridden.score_run.override
    if not expires and not any(days[then].begins for then in range(ridden.score_run.day + 1, day + 1)):
        assert after.closed == []
        assert after.score_run == replace(ridden.score_run, day=day, readings=after.score_run.readings)
        if after.evaluation.readings == evaluated(stops, ridden.score_run).readings:
            assert after.score_run.readings == ridden.score_run.readings


@given(st.data())
def test_how_events_are_batched_makes_no_difference_if_none_is_late(data: st.DataObject) -> None:
    """Each day closes with the same; only a score that went and came back within a day may have been seen or not."""
    events, policy = data.draw(streams()), data.draw(policies())[0]
    one, other = (advance_through(data.draw(on_time(events, policy))) for _ in range(2))
    stops = [Stop(0, [], policy)]
    assert _distinct(stops, one.runs) == _distinct(stops, other.runs)
    assert one.score_run.readings == other.score_run.readings
    assert one.memory[FALLS.id].peaks == other.memory[FALLS.id].peaks


def _distinct(stops: list[Stop], runs: list[ScoreRun]) -> list[tuple[object, ...]]:
    """Runs by their last day, but for those that the next one is like."""
    scored = [
        (run.scorecard, run.version, run.coverage, contributions_in_billionths(evaluated(stops, run))) for run in runs
    ]
    return [
        (run.day, run.score, run.band, this)
        for run, this, following in zip(runs, scored, [*scored[1:], None], strict=True)
        if this != following
    ]


@given(courses())
def test_a_rule_on_drops_remembers_each_day_as_it_closed(stops: list[Stop]) -> None:
    ridden, expected = advance_through(stops), OK
    days = Expected(stops).days
    for day, it in days.items():
        if day < ridden.score_run.day and it.evaluation:
            expected = close_day(FALLS.condition, expected, day, it.evaluation.score)
    assert ridden.memory[FALLS.id].peaks == expected.peaks
    # A rule that is created only now finds the same in the stored days.
    closings = [(run.day, run.score) for run in ridden.runs[:-1]]
    if (stands := ridden.score_run).since < stands.day:
        closings.append((stands.day - 1, stands.score))
    assert remembered(FALLS, closings).peaks == expected.peaks

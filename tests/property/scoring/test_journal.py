"""The journal of a day puts every move down to its cause, and nothing is left over."""

from collections import defaultdict
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from scoring.history.journal import MOST_IDS, Journal, JournalBase, JournalCause, Reason, base_of, entries, note
from scoring.history.journal_codec import MOST_WAITING, decode_journal, encode_journal, note_stored
from scoring.scorecards.contributions import Billionths, add, change, contributions_in_billionths
from scoring.scorecards.document import parse
from scoring.scorecards.measure import Missing, Value
from scoring.scorecards.scorecard import Evaluation, Scorecard, compile_scorecard, score

CAUSES: list[JournalCause] = ["time", "events", "correction", "scorecard", "override"]


def _entry(name: str, weight: float, **more: Any) -> dict[str, Any]:
    return {"name": name, "measure": "open_tickets", "weight": weight, "curve": [[0, 0], [100, 100]], **more}


DOCUMENTS: list[dict[str, Any]] = [
    {"name": "default", "measures": [_entry("a", 1), _entry("b", 0.7, veto={"below": 20, "cap": 33})]},
    {"name": "other", "applies_to": {"stages": ["trial"]}, "measures": [_entry("b", 3), _entry("c", 1)]},
    {"name": "default", "measures": [_entry(name, 1, missing="worst") for name in "abc"], "min_coverage": 1},
]
CARDS = [compile_scorecard(parse(document, 92), version) for version, document in enumerate(DOCUMENTS, start=1)]


def find(name: str | None, version: int | None) -> Scorecard | None:
    return next((card for card in CARDS if (card.name, card.version) == (name, version)), None)


class Move(NamedTuple):
    """A cause, the score that it led to, and whether the journal is stored and read again after it."""

    reason: Reason
    after: Evaluation
    is_stored: bool


some: list[Value] = [0.0, 10, 33.3, 100, Missing.NO_USAGE]
values = st.one_of(st.sampled_from(some), st.floats(0, 100))


@st.composite
def evaluations(draw: st.DrawFn) -> Evaluation:
    card = draw(st.sampled_from(CARDS))
    return score([draw(values) for _ in card.measures], card, 20_000)


names: st.SearchStrategy[tuple[str, ...]] = st.lists(
    st.tuples(st.sampled_from(["app", "crm"]), st.sampled_from("123456789")), max_size=MOST_IDS
).map(lambda ids: tuple(chain.from_iterable(ids)))
reasons = st.builds(
    Reason, st.sampled_from(CAUSES), st.integers(0, 9), st.integers(0, 9), names, st.sampled_from(["", *"123456789"])
)
days = st.lists(st.builds(Move, reasons, evaluations(), st.booleans()), max_size=12)


def play(first: Evaluation | None, moves: list[Move]) -> Journal:
    journal, score_run = Journal(), first
    for move in moves:
        note(journal, move.reason, partial(base_of, score_run), find)
        score_run = move.after
        if move.is_stored:
            journal = decode_journal(encode_journal(journal), find)
    return journal


def last(first: Evaluation | None, moves: list[Move]) -> Evaluation | None:
    return moves[-1].after if moves else first


@given(st.none() | evaluations(), days)
def test_each_cause_has_what_it_moved(first: Evaluation | None, moves: list[Move]) -> None:
    expected: defaultdict[str, Billionths] = defaultdict(dict)
    score_run = first
    for move in moves:
        add(
            expected[move.reason.cause],
            change(contributions_in_billionths(score_run), contributions_in_billionths(move.after)),
        )
        score_run = move.after
    found = entries(play(first, moves), score_run, find)
    assert {entry.cause: dict(moved) for entry, moved in found} == expected
    assert len(found) == len(expected)


@given(st.none() | evaluations(), days)
def test_what_the_causes_moved_sums_exactly_to_the_change(first: Evaluation | None, moves: list[Move]) -> None:
    total: Billionths = {}
    score_run = last(first, moves)
    for _, moved in entries(play(first, moves), score_run, find):
        add(total, moved)
    assert total == change(contributions_in_billionths(first), contributions_in_billionths(score_run))


@given(st.none() | evaluations(), days)
def test_each_cause_names_its_last_events_and_words_and_counts_all(first: Evaluation | None, moves: list[Move]) -> None:
    for entry, _ in entries(play(first, moves), last(first, moves), find):
        mine = [move.reason for move in moves if move.reason.cause == entry.cause]
        named = [event for reason in mine for event in zip(reason.names[::2], reason.names[1::2], strict=True)]
        assert entry.ids == tuple(named[-MOST_IDS:])
        assert entry.events == sum(reason.events for reason in mine)
        assert entry.at == mine[-1].at
        assert len(entry.notes) == len(set(entry.notes)) <= MOST_IDS
        assert set(entry.notes) <= {reason.note for reason in mine} - {""}
        assert not mine[-1].note or mine[-1].note in entry.notes


@given(st.none() | evaluations(), days)
def test_causes_waiting_in_a_stored_journal_give_the_same_result(first: Evaluation | None, moves: list[Move]) -> None:
    stored, score_run = None, first
    for number, move in enumerate(moves, start=1):
        if move.is_stored:
            stored = encode_journal(decode_journal(stored, find))
        stored = note_stored(stored, move.reason, base_of(score_run), find)
        assert decode_journal(stored, find) == play(first, [each._replace(is_stored=False) for each in moves[:number]])
        score_run = move.after


def test_no_more_than_a_few_causes_wait() -> None:
    base = JournalBase('[1.5,"no_usage_ever"]', "default", 1)
    stored, lengths = None, []
    for number in range(40):
        reason = Reason(("events", "correction")[number % 2], 1, 3, ("app", "1", "app", "2", "app", "3"))
        stored = note_stored(stored, reason, base, find)
        lengths.append(len(stored))
    cycle = MOST_WAITING + 1
    assert max(lengths[8:]) == max(lengths[8 : 8 + cycle]) < 500
    assert {length: lengths[8:].count(length) for length in lengths[-cycle:]} == dict.fromkeys(
        lengths[-cycle:], 32 // cycle
    )


def test_a_cause_that_goes_on_has_its_base_once() -> None:
    base = JournalBase('[1.5,"no_usage_ever"]', "default", 1)
    once = note_stored(None, Reason("correction", 1, 1), base, find)
    assert note_stored(once, Reason("correction", 2, 1), base, find).count(base.readings.encode()) == 1
    assert note_stored(once, Reason("events", 2, 1), base, find).count(base.readings.encode()) == 2


def test_a_cause_that_goes_on_all_day_takes_no_more_room_than_once() -> None:
    base = JournalBase('[1.5,"no_usage_ever"]', "default", 1)
    names = ("app", "1", "app", "2", "app", "3")
    lengths, stored = set(), None
    for number in range(40):
        stored = note_stored(stored, Reason("correction", 10 + number, 1, names), base, find)
        lengths.add(len(stored))
    assert len(lengths) == 1
    [(entry, _)] = entries(decode_journal(stored, find), None, find)
    assert (entry.at, entry.events, entry.ids[-1]) == (49, 40, ("app", "3"))


def test_a_day_on_which_nothing_moved_has_no_causes() -> None:
    assert entries(decode_journal(None, find), None, find) == []
    assert entries(decode_journal(encode_journal(Journal()), find), None, find) == []

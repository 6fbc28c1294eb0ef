"""Every measure of the catalogue equals what the events themselves say."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.scorecards.catalogue import CATALOGUE
from scoring.scorecards.measure import Missing, Parameters
from scoring.state.account_state import AccountState
from tests.support import oracle
from tests.support.folding import folded, settled
from tests.support.strategies import batches, days_after, histories, in_log_order, with_copies
from tests.support.strategies_scorecards import parameters


def measured(entry: dict[str, Any], state: AccountState, day: int) -> float | Missing:
    features, priorities = entry.get("features"), entry.get("priorities")
    parameters = Parameters(
        entry.get("window", 1),
        None if features is None else frozenset(features),
        None if priorities is None else frozenset(priorities),
        entry.get("min_n", 1),
    )
    return CATALOGUE[entry["measure"]].build(parameters)(state, day)


def test_the_oracle_knows_the_whole_catalogue() -> None:
    assert set(oracle.MEASURES) == set(CATALOGUE)


@given(st.data())
def test_a_measure_reads_only_the_signals_that_it_names(data: st.DataObject) -> None:
    events = data.draw(histories(30))
    day = data.draw(days_after(events))
    state = settled(folded([events] if events else [], 30), day)
    for name, definition in CATALOGUE.items():
        entry = {"measure": name, **data.draw(parameters(30, name))}
        named = AccountState(**{signal: getattr(state, signal) for signal in definition.signals})
        assert measured(entry, named, day) == measured(entry, state, day), entry


@given(st.data(), st.sampled_from([7, 30, 92, 120]))
def test_every_measure_equals_the_oracle(data: st.DataObject, retention: int) -> None:
    events = data.draw(histories(retention, span=data.draw(st.sampled_from([5, 30, 150]))))
    log = in_log_order(data.draw(with_copies(events)))
    day = data.draw(days_after(events))
    state = settled(folded(data.draw(batches(log)), retention), day)
    for name in CATALOGUE:
        entry = {"measure": name, **data.draw(parameters(retention, name))}
        expected = oracle.measure(entry, events, day, retention)
        value = measured(entry, state, day)
        if isinstance(expected, str) or isinstance(value, Missing):
            assert value == Missing(expected), entry
        else:
            assert value == pytest.approx(float(expected), rel=1e-12, abs=1e-9), entry

"""The form of written states: integers and texts, in one order; no floats, and nothing about a person."""

from collections.abc import Iterator

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from scoring.state.account_state import decode
from tests.support.folding import encoded, folded
from tests.support.strategies import batches, histories


def leaves(value: object) -> Iterator[object]:
    """Everything in a decoded message that is not a container; keys count too."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner)
    else:
        yield value


def mappings(value: object) -> Iterator[list[object]]:
    """The keys of every mapping in a decoded message, as they are written."""
    if isinstance(value, dict):
        yield list(value)
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from mappings(inner)


@given(st.data())
def test_a_state_holds_no_floats_and_every_mapping_is_sorted(data: st.DataObject) -> None:
    events = data.draw(histories(30))
    for written in encoded(folded(data.draw(batches(events)), 30)):
        message = msgspec.msgpack.decode(written)
        assert {type(leaf) for leaf in leaves(message)} <= {int, str, type(None)}
        assert all(keys == sorted(keys, key=lambda key: (str(type(key)), key)) for keys in mappings(message))


@given(st.data())
def test_a_state_written_and_read_is_the_same(data: st.DataObject) -> None:
    state = folded(data.draw(batches(data.draw(histories(30)))), 30)
    assert decode(*encoded(state)) == state
    assert decode(None, None, None, None) == folded([], 30)


def test_answers_that_were_stored_before_scales_had_a_lower_end_are_read() -> None:
    """Their scale began at 1, and a version that knows of no lower end passes over it."""
    before = msgspec.msgpack.encode([20_500, 7, {"csat": [{5: [3, "e", 4_000_000, 5_000_000]}, 2**64 - 1]}, {}])
    answer = decode(None, None, before, None).surveys.surveys["csat"].last[5]
    assert (answer.score, answer.scale_min, answer.scale_max) == (4_000_000, 1_000_000, 5_000_000)

    class Before(msgspec.Struct, frozen=True, order=True, array_like=True, gc=False):
        at: int
        id: str
        score: int
        scale_max: int

    assert msgspec.msgpack.decode(msgspec.msgpack.encode(answer), type=Before) == Before(3, "e", 4_000_000, 5_000_000)

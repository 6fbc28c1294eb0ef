"""The script of faults: made of its seed alone, with every kind, and never too few consumers or too many."""

from collections import Counter

from tests.faults import script
from tests.faults.script import BAG, FEWEST, FIRST, MOST


def test_a_seed_gives_one_script() -> None:
    assert script.write(7, 40) == script.write(7, 40)
    assert script.write(7, 40) != script.write(8, 40)


def test_every_kind_comes_and_consumers_stay_within_bounds() -> None:
    for seed in range(50):
        faults = script.write(seed, 2 * len(BAG))
        kinds = Counter(fault.kind for fault in faults)
        assert all(kinds[kind] for kind in BAG)
        consumers = FIRST
        for fault in faults:
            consumers += {"scale up": 1, "scale down": -1}.get(fault.kind, 0)
            assert FEWEST <= consumers <= MOST
